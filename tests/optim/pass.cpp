// SPDX-License-Identifier: Apache-2.0
// Running a pipe: order, numbers, fields, gates, grouping.
#include "lierne/optim/pass.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/clip_norm.hpp"
#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/momentum.hpp"
#include "lierne/optim/normalise.hpp"

using namespace lierne;

namespace {

// u <- factor · u + shift, counting its runs in a field.
template <FixedString field>
struct Affine {
  using pipe_role = StageRole;
  using fields = Fields<field>;
  double factor = 1;
  double shift = 0;
  constexpr auto coefficients(auto const&) const { return std::array{factor, shift}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& runs) {
    at.direction = numbers[0] * at.direction + numbers[1];
    runs = runs + 1.0;
  }
};

struct HoldsAtCallTwo {
  using pipe_role = StageRole;
  using fields = Fields<"held">;
  constexpr bool holds(auto const& call) const { return call.calls == 2; }
  constexpr auto coefficients(auto const& call) const { return std::array{1.0 * static_cast<double>(call.calls)}; }
  template <class V>
  static constexpr void hold(auto const& numbers, Element<V>&, V& held) {
    held = numbers[0] * V(10);
  }
  template <class V>
  static constexpr void element(auto const&, Element<V>&, V&) {}
};

template <StageCode code, class Node>
double run(Node const& node, Call<> const& call, std::array<Lane<double>, 4>& fields, bool& passed) {
  std::array<double, 16> numbers{};
  write_numbers(node, call, numbers.data());
  Element<Lane<double>> at{.weight = 0, .gradient = 1, .direction = 1};
  passed = run_stages<Node, code>(numbers.data(), at, fields.data());
  return at.direction.value;
}

using A = Affine<"a">;
using B = Affine<"b">;
using C = Affine<"c">;

}  // namespace

static_assert(Layout<Pipe<A, B>>::fields == 2 && Layout<Pipe<A, B>>::numbers == 4);
static_assert(Layout<HoldsAtCallTwo>::numbers == 2, "one more: whether the gate holds");
static_assert(Layout<Labelled<"x", Pipe<A, B>>>::fields == 2);
static_assert(Layout<Recipe<double, A>>::fields == 1 && Layout<ClipNorm>::fields == 0 && Layout<ClipNorm>::numbers == 1);
static_assert(field_names<Pipe<A, Labelled<"slow", Pipe<B, Momentum<>>>>>()[2] == "slow_exp_avg");
static_assert(field_names<NormaliseByMaximum<>>()[1] == "max_exp_avg_sq");
static_assert(field_names<ClipNorm>().empty());

TEST_CASE("stages run from left to right, each with its own numbers and fields") {
  A const a{2, 1};
  B const b{3, 5};
  C const c{7, 0};
  bool passed = false;
  std::array<Lane<double>, 4> fields{};
  CHECK(run<StageCode::inlined>(a | b | c, {}, fields, passed) == ((1 * 2 + 1) * 3 + 5) * 7);
  CHECK(passed);
  for (int k = 0; k < 3; ++k) CHECK(fields[static_cast<std::size_t>(k)].value == 1);
  CHECK(fields[3].value == 0);
}

TEST_CASE("grouping changes nothing, nor does the place of the code") {
  A const a{0.3, 1};
  B const b{0.7, 5};
  C const c{0.9, 0.1};
  bool passed = false;
  std::array<Lane<double>, 4> fields{};
  auto const expected = run<StageCode::inlined>((a | b) | c, {}, fields, passed);
  CHECK(run<StageCode::inlined>(a | (b | c), {}, fields, passed) == expected);
  CHECK(run<StageCode::apart>(a | (b | c), {}, fields, passed) == expected);
  CHECK(run<StageCode::apart>(labelled<"x">(a | b) | c, {}, fields, passed) == expected);
}

TEST_CASE("a gate that holds runs its own part and stops the pipe") {
  auto const node = A{2, 0} | HoldsAtCallTwo{} | B{5, 0};
  for (auto calls : {1, 2, 3}) {
    for (auto code : {StageCode::inlined, StageCode::apart}) {
      std::array<Lane<double>, 4> fields{};
      bool passed = true;
      Call<> const call{.calls = calls};
      auto const direction = code == StageCode::inlined ? run<StageCode::inlined>(node, call, fields, passed)
                                                        : run<StageCode::apart>(node, call, fields, passed);
      CHECK(passed == (calls != 2));
      CHECK(direction == (calls == 2 ? 2 : 10));
      CHECK(fields[0].value == 1);
      CHECK(fields[1].value == (calls == 2 ? 20 : 0));
      CHECK(fields[2].value == (calls == 2 ? 0 : 1));
    }
  }
}

TEST_CASE("a recipe starts its direction at the gradient") {
  auto const node = recipe("mine", 1.0, A{2, 0});
  std::array<double, 2> numbers{};
  write_numbers(node, Call<>{}, numbers.data());
  Element<Lane<double>> at{.weight = 0, .gradient = 4, .direction = 99};
  Lane<double> field;
  run_stages<std::remove_cvref_t<decltype(node)>>(numbers.data(), at, &field);
  CHECK(at.direction.value == 8);
}
