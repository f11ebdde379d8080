// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/phased.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"
#include "lierne/optim/rule_optimizer.hpp"

using namespace lierne;

namespace {

/// Changes gradient, weight and direction, none of which its traits say.
struct Everything {
  using pipe_role = StageRole;
  template <class V>
  static constexpr void element(auto const&, Element<V>& at) {
    at.gradient = at.gradient + V(0.5) * at.weight;
    at.weight = at.weight + V(0.01) * at.gradient;
    at.direction = at.direction - V(0.25) * at.gradient;
  }
};

/// The same on whole tensors, with a field that shares memory with the direction.
struct WholeEverything {
  using pipe_role = StageRole;
  using fields = Fields<"seen">;
  static constexpr bool whole_tensor = true;
  template <class V>
  static constexpr void element(auto const&, Element<V>& at, V& seen) {
    at.weight = at.weight + V(0.1) * at.gradient;
    at.gradient = at.gradient / (V(1) + sum(at.gradient * at.gradient));
    seen = at.direction + at.gradient;
    at.direction = seen;
  }
};

/// Weights and state after steps with gradients of odd shapes.
template <class Rule>
std::vector<Tensor> after(Rule const& rule, Path path, Dtype dtype, bool matrices) {
  auto const optimizer = bind(rule, path);
  std::vector<Slot> slots;
  auto const wave = [&](Shape const& shape, double start) {
    return (at::arange(elements(shape), at::TensorOptions().dtype(float64)) * 12.9898 + start).sin().view(shape).to(dtype);
  };
  for (Shape const& shape : {Shape{37, 5}, Shape{1, 1}, Shape{300, 301}, Shape{0, 3}, Shape{17}, Shape{}}) {
    if (matrices && (shape.size() != 2 || shape[0] == 0)) continue;
    slots.push_back({.name = "w" + std::to_string(slots.size()), .weight = wave(shape, 0.3)});
  }
  for (int k = 0; k < 5; ++k) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      if ((static_cast<std::size_t>(k) + i) % 4 != 3) slots[i].weight.mutable_grad() = wave(slots[i].weight.sizes().vec(), 7.7 * k);
    }
    optimizer->step(slots, {.step = k, .total = 5});
  }
  std::vector<Tensor> all;
  for (auto const& slot : slots) all.push_back(slot.weight);
  for (auto const& [key, field] : optimizer->state()) all.push_back(field);
  return all;
}

double largest(Tensor const& tensor) { return tensor.numel() == 0 ? 0 : tensor.abs().max().item<double>(); }

// Whether the loop path's roots are ours: ATen leaves them to a library that may err in the last bit.
enum class Roots { none, of_aten };

template <class Rule>
void phased_is_loop(Rule const& rule, Roots roots, bool matrices = false) {
  CAPTURE(name(rule));
  for (auto dtype : {float32, float64}) {
    auto const phased = after(rule, Path::fused, dtype, matrices), loop = after(rule, Path::loop, dtype, matrices);
    REQUIRE(phased.size() == loop.size());
    for (std::size_t i = 0; i < loop.size(); ++i) {
      CAPTURE(i);
      if (roots == Roots::none) {
        CHECK(phased[i].equal(loop[i]));
      } else {
        double const away = largest(phased[i] - loop[i]), scale = largest(loop[i]);
        CHECK(away <= (dtype == float32 ? 5e-7 : 1e-15) * scale);
      }
    }
  }
}

}  // namespace

TEST_CASE("phases are the loop") {
  phased_is_loop(clip_norm(1) | muon({.rate = 0.1}) | decay(0.1, times_rate), Roots::none, true);
  phased_is_loop(maximize() | normuon<PolarExpress<>>({.rate = 0.1}) | decay_after(0.1, times_rate), Roots::none, true);
  phased_is_loop(decay(0.1, coupled) | soap({.rate = 0.1, .frequency = 2}) | decay(0.1, times_rate), Roots::none);
  phased_is_loop(clip_norm(1) | recipe("c", 0.1, momentum() | normalise() | cautious()) | cautious_decay(0.1, times_rate), Roots::of_aten);
  phased_is_loop(clip_norm(1) | mars_adamw({.rate = 0.1}) | decay(0.1, times_rate), Roots::of_aten);
  phased_is_loop(recipe("c", 0.1, normalise_by_previous() | cautious<CautiousScale::count>() | momentum()) | decay(0.1, times_rate), Roots::of_aten);
}

TEST_CASE("stages that change everything, before and behind a stage of whole tensors that does") {
  phased_is_loop(Everything{} | recipe("e", 0.1, Everything{} | WholeEverything{} | Everything{} | labelled<"more">(WholeEverything{})) | Everything{}, Roots::none);
  phased_is_loop(labelled<"first">(WholeEverything{}) | recipe("e", 0.1, WholeEverything{} | labelled<"more">(WholeEverything{}) | momentum()), Roots::none);
}

TEST_CASE("a rule of stages of whole tensors alone") { phased_is_loop(recipe("w", 0.1, WholeEverything{}), Roots::none); }
