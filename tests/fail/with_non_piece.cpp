// SPDX-License-Identifier: Apache-2.0
// expect: with: each change must be a piece of a slot or a field \(with\(spec, NoPosition
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192};
#ifdef FIXED
constexpr auto wider = ln::with(gpt, ln::field<"width">(1024));
#else
constexpr auto wider = ln::with(gpt, 1024);
#endif
