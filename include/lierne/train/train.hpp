// SPDX-License-Identifier: Apache-2.0
// The training loop, its options and its records.
#pragma once

#include "lierne/train/gemm_peak.hpp"
#include "lierne/train/run_directory.hpp"
#include "lierne/train/trainer.hpp"
