// SPDX-License-Identifier: Apache-2.0
// Rules drawn at random, at compile time, and the comparison of their three paths.
#pragma once

#include <doctest/doctest.h>

#include <utility>

#include "lierne/core/random.hpp"
#include "lierne/optim/optim.hpp"

namespace lierne::test {

/// A number below `below` for the place `what` of composition `seed`.
constexpr unsigned draw(unsigned seed, unsigned what, unsigned below) {
  std::uint64_t x = seed * 0x9E3779B97F4A7C15ULL + (what + 1) * 0xD1B54A32D192ED03ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return static_cast<unsigned>((x ^ (x >> 31)) % below);
}

inline constexpr FixedString<2> place_labels[] = {"a", "b", "c", "d"};

/// One stage of a recipe. Its fields are labelled by its place, so that any two go together.
template <unsigned seed, unsigned place>
constexpr auto random_stage() {
  constexpr unsigned kind = draw(seed, 10 + place, 16);
  constexpr auto label = [](auto stage) { return labelled<place_labels[place]>(stage); };
  if constexpr (kind == 0) return label(Momentum<Bias::corrected>{.beta = 0.8});
  else if constexpr (kind == 1) return label(Momentum<Bias::kept>{.beta = 0.7});
  else if constexpr (kind == 2) return label(QuasiHyperbolic<Bias::corrected>{.beta = 0.9, .nu = 0.6});
  else if constexpr (kind == 3) return label(QuasiHyperbolic<Bias::kept>{.beta = 0.9, .nu = 0.6});
  else if constexpr (kind == 4) return label(Normalise<Epsilon::added>{.beta = 0.95, .epsilon = 1e-3});
  else if constexpr (kind == 5) return label(Normalise<Epsilon::floor>{.beta = 0.95, .epsilon = 1e-2});
  else if constexpr (kind == 6) return label(NormaliseByMaximum<>{.beta = 0.9, .epsilon = 1e-3});
  else if constexpr (kind == 7) return label(NormaliseByPrevious<Epsilon::floor>{.beta = 0.9, .epsilon = 1e-2});
  else if constexpr (kind == 8) return label(NormaliseByPrevious<Epsilon::added>{.beta = 0.9, .epsilon = 1e-2});
  else if constexpr (kind == 9) return ClipElements<QuarterPower>{};
  else if constexpr (kind == 10) return label(HeavyBall<Lookahead::none>{.momentum = 0.6, .dampening = 0.2});
  else if constexpr (kind == 11) return label(HeavyBall<Lookahead::nesterov>{.momentum = 0.6});
  else if constexpr (kind == 12) return label(RootMeanSquare<Centring::none>{.alpha = 0.9, .epsilon = 1e-2});
  else if constexpr (kind == 13) return label(SplitMomentum<>{.read = 0.5, .kept = 0.9});
  else if constexpr (kind == 14) return label(MixedMomentum<2>{{0.5, 0.9}, {0.3, 0.4}});
  else return label(SlowMomentum<>{.fast = 0.7, .slow = 0.99, .share = 1.5, .warmup = 4});
}

/// One to four stages.
template <unsigned seed>
constexpr auto random_body() {
  constexpr unsigned length = 1 + draw(seed, 0, 4);
  if constexpr (length == 1) return random_stage<seed, 0>();
  else if constexpr (length == 2) return random_stage<seed, 0>() | random_stage<seed, 1>();
  else if constexpr (length == 3) return random_stage<seed, 0>() | random_stage<seed, 1>() | random_stage<seed, 2>();
  else return random_stage<seed, 0>() | (random_stage<seed, 1>() | random_stage<seed, 2>()) | random_stage<seed, 3>();
}

/// A recipe with a decay of any form or none.
template <unsigned seed>
constexpr auto random_decayed() {
  constexpr unsigned form = draw(seed, 1, 5);
  auto const drawn = recipe("drawn", 0.03, random_body<seed>());
  if constexpr (form == 0) return drawn;
  else if constexpr (form == 1) return drawn | decay(0.1, times_rate);
  else if constexpr (form == 2) return drawn | decay(0.005, times_schedule);
  else if constexpr (form == 3) return drawn | decay(0.01, independent);
  else return decay(0.02, coupled) | drawn;
}

/// The whole rule, perhaps with stages before the recipe.
template <unsigned seed>
constexpr auto random_rule() {
  constexpr unsigned before = draw(seed, 2, 4);
  auto const core = random_decayed<seed>();
  if constexpr (before == 0) return clip_norm(0.5) | core;
  else if constexpr (before == 1) return maximize() | core;
  else if constexpr (before == 2) return clip_norm(2.0) | maximize() | core;
  else return core;
}

/// The weights after eight calls, one of them without a gradient. First weights and gradients are off by `nudge` of
/// themselves, up or down by a fixed random pattern.
inline std::vector<Tensor> weights_after(Optimizer& optimizer, Dtype dtype, double nudge = 0) {
  std::vector<Slot> slots;
  auto const doubles = at::TensorOptions().dtype(float64);
  unsigned drawn = 0;
  auto const nudged = [&](Tensor const& exact) {
    auto const off = at::empty(exact.sizes(), doubles);
    for (std::int64_t i = 0; i < off.numel(); ++i) off.mutable_data_ptr<double>()[i] = draw(7, drawn++, 2) == 0 ? nudge : -nudge;
    return exact * (1 + off);
  };
  for (std::int64_t size : {1, 19, 40}) {
    auto const name = std::to_string(size);
    slots.push_back({.name = name, .weight = nudged(at::linspace(-1, 1.2, size, doubles)).to(dtype)});
  }
  for (int k = 0; k < 8; ++k) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if (k == 3 && i == 1) continue;
      auto const wave = at::arange(slots[i].weight.numel(), doubles) * 0.37 + 1.1 * k;
      slots[i].weight.mutable_grad() = nudged(at::sin(wave) * std::pow(10.0, (k % 4) - 2)).to(dtype);
    }
    optimizer.step(slots, {.step = k});
  }
  std::vector<Tensor> weights;
  for (auto const& slot : slots) weights.push_back(slot.weight.to(float64));
  return weights;
}

void compare_paths(std::string const& name, std::unique_ptr<Optimizer> const (&exact)[3],
                   std::unique_ptr<Optimizer> const (&rounded)[2], Optimizer& nudged);

template <unsigned seed>
void compare_paths() {
  auto const rule = random_rule<seed>();
  compare_paths(name(rule), {bind(rule, Path::fused), bind(rule, Path::foreach), bind(rule, Path::loop)},
                {bind(rule, Path::fused), bind(rule, Path::foreach)}, *bind(rule, Path::loop));
}

/// Compositions [first, first + count).
template <unsigned first, unsigned... i>
void compare_range(std::integer_sequence<unsigned, i...>) {
  (compare_paths<first + i>(), ...);
}

}  // namespace lierne::test
