// SPDX-License-Identifier: Apache-2.0
// The whole library. A program that needs less includes less: each folder has a header of its own name.
#pragma once

#include "lierne/checkpoint/checkpoint.hpp"
#include "lierne/core/core.hpp"
#include "lierne/data/data.hpp"
#include "lierne/models/models.hpp"
#include "lierne/nn/nn.hpp"
#include "lierne/optim/optim.hpp"
#include "lierne/parallel/parallel.hpp"
#include "lierne/spec/spec.hpp"
#include "lierne/train/train.hpp"
#include "lierne/version.hpp"
