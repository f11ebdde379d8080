// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/where.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

bool holds(Where const& where, std::string const& name, Shape const& shape = {4, 4}, Kind kind = Kind::matrix) {
  return where.holds({name, shape, kind});
}

}  // namespace

TEST_CASE("a pattern matches whole names") {
  CHECK(holds(named("layers.*.wq.weight"), "layers.11.attention.wq.weight"));
  CHECK(holds(named("*"), ""));
  CHECK(holds(named("*norm*"), "layers.0.ffn_norm.weight"));
  CHECK(holds(named("a*b*c"), "a.b.b.c"));
  CHECK_FALSE(holds(named("a*b*c"), "a.c.b"));
  CHECK_FALSE(holds(named("norm.weight"), "layers.0.norm.weight"));
  CHECK_FALSE(holds(named("layers.*"), "layers"));
  CHECK_FALSE(holds(named("ab*ba"), "aba"));
}

TEST_CASE("conditions join as truth does") {
  for (bool a : {false, true}) {
    for (bool b : {false, true}) {
      auto const first = where("a", [a](auto const&) { return a; });
      auto const second = where("b", [b](auto const&) { return b; });
      CHECK(holds(first && second, "") == (a && b));
      CHECK(holds(first || second, "") == (a || b));
      CHECK(holds(!first, "") == !a);
      CHECK(holds(!(first && second), "") == holds(!first || !second, ""));
    }
  }
  CHECK((of_kind(Kind::norm) && !named("x*")).words == "norm and not ('x*')");
}

TEST_CASE("kinds, dimensions and blocks") {
  CHECK(holds(of_kind(Kind::norm), "w", {8}, Kind::norm));
  CHECK_FALSE(holds(of_kind(Kind::norm), "w"));
  CHECK(holds(of_dimensions(3), "w", {2, 3, 4}));
  CHECK_FALSE(holds(of_dimensions(3), "w"));
  CHECK(holds(in_block(), "layers.3.attention.wq.weight"));
  CHECK(holds(in_block(), "encoder.layers.3.w"));
  CHECK_FALSE(holds(in_block(), "norm.weight"));
}
