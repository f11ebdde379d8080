// SPDX-License-Identifier: Apache-2.0
// expect: Model: plan\.tensor must divide vocab \(pad vocab to a multiple, or lower plan\.tensor\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 50258};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 50257};
#endif
constexpr ln::Plan plan{.tensor = 2};
static_assert(ln::detail::CheckedSpec<gpt, plan>::value);
