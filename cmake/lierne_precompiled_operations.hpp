// SPDX-License-Identifier: Apache-2.0
// The same with ATen's free functions and operators, for units that call them.
#pragma once
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lierne_precompiled.hpp"
