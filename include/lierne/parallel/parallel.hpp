// SPDX-License-Identifier: Apache-2.0
// How a plan is applied to a model.
#pragma once

#include "lierne/parallel/parallelise.hpp"
