// SPDX-License-Identifier: Apache-2.0
// The training loop, its options and its records.
#pragma once

#include "lierne/train/trainer.hpp"
