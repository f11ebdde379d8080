// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/field_shape.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

/// Keeps a column, the weight, and nothing.
struct Keeper {
  using pipe_role = StageRole;
  using fields = Fields<"column", "whole", "nothing">;
  static constexpr bool whole_tensor = true;
  static constexpr Dimensions dimensions{1, 3};

  FieldShape field_shape(int field, FieldShape const& weight) const {
    return field == 0 ? FieldShape{weight[0], 1} : field == 1 ? weight : FieldShape{0};
  }
  template <class V>
  static constexpr void element(auto const&, Element<V>& at, V& column, V& whole, V&) {
    column = column + row_mean(at.gradient);
    whole = at.gradient;
  }
};

/// The example of docs/optim.md.
struct RowAverage {
  using pipe_role = StageRole;
  using fields = Fields<"row_average">;
  static constexpr bool whole_tensor = true;
  static constexpr Dimensions dimensions{2, 2};
  FieldShape field_shape(int, FieldShape const& weight) const { return {weight[0], 1}; }
  template <class V>
  static constexpr void element(auto const&, Element<V>& at, V& average) {
    average = average + 0.1 * (row_mean(at.direction) - average);
    at.direction = at.direction - average;
  }
};

auto const kept_rule = clip_norm(1) | recipe("kept", 0.1, momentum() | labelled<"my">(Keeper{}) | normalise());
using KeptRule = std::remove_const_t<decltype(kept_rule)>;
auto const doubles = at::TensorOptions().dtype(float64);

}  // namespace

static_assert(ShapesFields<Keeper> && !ShapesFields<Momentum<>>);
static_assert(dimensions_of<Momentum<>>.fewest == 0 && dimensions_of<Momentum<>>.most > 100);
static_assert(dimensions_of<KeptRule>.fewest == 1 && dimensions_of<KeptRule>.most == 3);
static_assert(dimensions_of<decltype(Keeper{} | ScaleToShape<>{})>.fewest == 2);
static_assert(dimensions_of<decltype(Keeper{} | ScaleToShape<>{})>.most == 2);

TEST_CASE("each field of a pipe has the shape that its stage gives it") {
  FieldShape const weight{3, 2};
  FieldShape const expected[] = {weight, {3, 1}, weight, {0}, weight};
  for (int k = 0; k < 5; ++k) CHECK(field_shape(kept_rule, k, weight) == expected[k]);
}

TEST_CASE("fields of other shapes run on every path, are saved and are loaded") {
  for (auto path : {Path::fused, Path::foreach, Path::loop}) {
    auto const optimizer = bind(kept_rule, path);
    auto const step = [&](Optimizer& with) {
      std::vector<Slot> const slots{{.name = "a", .weight = at::ones({3, 2}, doubles)}, {.name = "b", .weight = at::ones({4, 1}, doubles)}};
      for (auto const& slot : slots) slot.weight.mutable_grad() = at::full_like(slot.weight, 0.1);
      with.step(slots, {});
    };
    step(*optimizer);
    step(*optimizer);
    auto const state = optimizer->state();
    CHECK(at::allclose(state.at("optim.state.a.my_column"), at::full({3, 1}, 0.2, doubles)));
    CHECK(state.at("optim.state.a.my_whole").sizes() == Shape{3, 2});
    CHECK(state.at("optim.state.b.my_nothing").sizes() == Shape{0});
    auto const other = bind(kept_rule, path);
    CHECK(other->load_state(state).missing.empty());
    step(*other);
    CHECK(at::allclose(other->state().at("optim.state.b.my_column"), at::full({4, 1}, 0.3, doubles)));
  }
}

TEST_CASE("a stage of one's own with one number a row") {
  for (auto path : {Path::fused, Path::foreach, Path::loop}) {
    auto const weight = at::zeros({2, 3}, doubles);
    weight.mutable_grad() = at::arange(6, doubles).view({2, 3});
    bind(recipe("mine", 1.0, RowAverage{}), path)->step(std::vector<Slot>{{.name = "w", .weight = weight}}, {});
    auto const expected = at::tensor({0.1, -0.9, -1.9, -2.6, -3.6, -4.6}, doubles).view({2, 3});
    CHECK(at::allclose(weight, expected, 1e-14, 0));
  }
}

TEST_CASE("a weight of another number of dimensions and a loaded field of another shape are refused by name") {
  auto const optimizer = bind(kept_rule);
  auto const slots = [](Shape const& shape) {
    std::vector<Slot> all{{.name = "good", .weight = at::ones({2, 2}, doubles)}, {.name = "bad", .weight = at::ones(shape, doubles)}};
    for (auto const& slot : all) slot.weight.mutable_grad() = at::ones_like(slot.weight);
    return all;
  };
  auto const scalar = slots({});
  CHECK_THROWS_WITH_AS(optimizer->step(scalar, {}), doctest::Contains("optimizer: 'bad': the rule 'clip_norm 1 | kept 0.1"), ShapeError);
  CHECK_THROWS_WITH_AS(optimizer->step(slots({1, 1, 1, 1}), {}),
                       doctest::Contains("takes parameters of 1 to 3 dimensions, found shape [1, 1, 1, 1] (give it another rule by groups)"),
                       ShapeError);
  CHECK(at::equal(scalar[0].weight, at::ones({2, 2}, doubles)));
  optimizer->load_state({{"optim.state.good.my_column", at::zeros({2})}});
  CHECK_THROWS_WITH_AS(optimizer->step(slots({2}), {}), "optimizer: 'optim.state.good.my_column': expected shape [2, 1], found [2]", ShapeError);
}
