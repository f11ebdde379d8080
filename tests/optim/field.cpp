// SPDX-License-Identifier: Apache-2.0
// Field names and labels.
#include "lierne/optim/field.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/momentum.hpp"

using namespace lierne;

static_assert(Fields<>::count == 0 && Fields<"a", "b">::count == 2);
static_assert(Pipeable<Labelled<"slow", Momentum<>>>);
static_assert(sizeof(Labelled<"slow", Momentum<>>) == sizeof(Momentum<>));

TEST_CASE("a label keeps the stage") {
  constexpr auto slow = labelled<"slow">(momentum({.beta = 0.9999}));
  static_assert(slow.stage.beta == 0.9999);
  CHECK(name(slow) == "momentum 0.9999 corrected");
}
