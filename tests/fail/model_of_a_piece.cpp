// SPDX-License-Identifier: Apache-2.0
// expect: Model: the first argument must be a Decoder \(constexpr Decoder gpt\{\.\.\.\}; then Model<gpt>\)
#include "lierne/nn/model.hpp"

namespace ln = lierne;

constexpr ln::Attention attention{.heads = 4};
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = attention};
#ifdef FIXED
ln::Model<gpt> model;
#else
ln::Model<attention> model;
#endif
