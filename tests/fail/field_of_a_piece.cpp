// SPDX-License-Identifier: Apache-2.0
// expect: field: the name must be a number of Decoder \(layers, width, vocab, tied, embedding_norm or peri_norm; slots are
#include "lierne/spec/spec.hpp"

namespace ln = lierne;

constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192};
#ifdef FIXED
constexpr auto other = ln::with(gpt, ln::Attention{.heads = 4});
#else
constexpr auto other = ln::with(gpt, ln::field<"heads">(4));
#endif
