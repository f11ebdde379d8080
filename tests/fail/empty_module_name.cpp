// SPDX-License-Identifier: Apache-2.0
// expect: names: a name must not be empty \(names\(\) is the empty list\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Fp8 precision{.excluded = ln::names()};
#else
constexpr ln::Fp8 precision{.excluded = ln::names("")};
#endif
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .precision = precision};
