// SPDX-License-Identifier: Apache-2.0
// expect: Model: mixer.temperature must have a scale of 0 or more and a floor of at least 1 \(see QueryTemperature\)
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr auto temperature = ln::llama4_temperature;
#else
constexpr ln::QueryTemperature temperature{.scale = 0.1, .floor = 0};
#endif
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192,
                          .mixer = ln::Attention{.heads = 8, .temperature = temperature}, .position = ln::NoPosition{}};
static_assert(ln::detail::CheckedSpec<gpt, ln::Plan{}>::value);
