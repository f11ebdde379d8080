// SPDX-License-Identifier: Apache-2.0
// expect: '(const )?lierne::Decoder<>' has no non-static data member named 'heads'
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

// `Decoder{...}` with this mistake only says that deduction failed; written `Decoder<>{...}` the field is named.
#ifdef FIXED
constexpr ln::Decoder<> gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.heads = 4}};
#else
constexpr ln::Decoder<> gpt{.layers = 8, .width = 512, .vocab = 8192, .heads = 4};
#endif
