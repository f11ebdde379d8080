// SPDX-License-Identifier: Apache-2.0
// expect: Attention: a mask of your own must say what it lets be seen
#include "lierne/nn/nn.hpp"
#include "lierne/tensor/operations.hpp"

namespace ln = lierne;

struct Pairs {
  static constexpr auto role = ln::Role::mask;
#ifdef FIXED
  ln::Tensor first_keys(ln::Tensor const& tokens) const {
    auto const position = at::arange(tokens.size(1), tokens.options());
    return (position - position % 2).unsqueeze(0);
  }
#endif
};
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mask = Pairs{}};
void use() { ln::Model<gpt> model; }
