// SPDX-License-Identifier: Apache-2.0
// A token mixer of the user's own: the record that fills the slot, and inside it the layer that computes.
#pragma once

#include <lierne/nn/nn.hpp>
#include <lierne/tensor/operations.hpp>

/// Each channel sees an exponentially decaying average of its past, then a product mixes the channels.
/// Math: y_t = W Σ_{s ≤ t} a^(t-s) x_s / Σ_{s ≤ t} a^(t-s) with a = sigmoid(decay), channel by channel.
struct DecayedAverage {
  static constexpr auto role = lierne::Role::mixer;
  constexpr long long parameters(int width) const { return 1LL * width * width + width; }
  friend constexpr bool operator==(DecayedAverage const&, DecayedAverage const&) = default;

  template <auto block>
  struct Layer {
    lierne::Linear mix = lierne::make_linear(block.width, block.width, lierne::Initial::normal(0.02));
    lierne::Parameter decay{.shape = {block.width}, .initial = lierne::Initial::ones(), .read_as = lierne::ReadAs::master};

    static void members(auto& self, auto&& visit) {
      visit("mix", self.mix);
      visit("decay", self.decay);
    }

    lierne::Tensor operator()(lierne::Tensor const& x_BLD) const {
      auto const age = at::arange(x_BLD.size(1), decay().options().requires_grad(false));
      auto const distance = (age.unsqueeze(1) - age).unsqueeze(0);  // [1, L, L]
      auto const log_a = at::log_sigmoid(decay()).view({-1, 1, 1});
      auto const weight_DLL = at::where(distance >= 0, (log_a * distance.clamp_min(0)).exp(), 0);
      auto const mean_DLL = weight_DLL / weight_DLL.sum(-1, /*keepdim=*/true);
      return mix(at::einsum("dts,bsd->btd", {mean_DLL.to(x_BLD.scalar_type()), x_BLD}));
    }
  };
};
