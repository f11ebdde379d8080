// SPDX-License-Identifier: Apache-2.0
// expect: Model: a loss of your own must say what it makes of logits
#include "lierne/nn/nn.hpp"

namespace ln = lierne;

struct Brier {
  static constexpr auto role = ln::Role::loss;
#ifdef FIXED
  ln::Tensor operator()(ln::Tensor const& logits, ln::Tensor const&) const { return logits.softmax(-1).square().sum(); }
#endif
};

constexpr ln::Decoder gpt{.layers = 1, .width = 32, .vocab = 64, .mixer = ln::Attention{.heads = 2}, .loss = Brier{}};
ln::Model<gpt> model;
