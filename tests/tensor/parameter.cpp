// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/parameter.hpp"

#include <doctest/doctest.h>

using namespace lierne;

static_assert(Initial::zeros().kind == Initial::Kind::zeros);
static_assert(Initial::ones().kind == Initial::Kind::ones);
static_assert(Initial::normal(0.5).deviation == 0.5);
static_assert(Initial::truncated_normal(0.02).low == -2 && Initial::truncated_normal(0.02).high == 2);
static_assert(Initial::truncated_normal(0.02, 0.06).low == -0.06 && Initial::truncated_normal(0.02, 0.06).high == 0.06);

TEST_CASE("declaring a parameter allocates nothing") {
  Parameter const p{.shape = {1'000'000, 1'000'000}, .initial = Initial::normal(0.02)};
  CHECK_FALSE(p.owned.defined());
  CHECK_FALSE(p.materialised.defined());
  CHECK(p.tensor_dim == Parameter::whole);
  CHECK(p.read_as == ReadAs::compute);
  CHECK(p.initial.deviation == 0.02);
}

TEST_CASE("forward reads the materialised part") {
  Parameter p{.shape = {2}};
  p.owned = at::zeros({1});
  p.materialised = at::ones({2});
  CHECK(p().equal(at::ones({2})));
  CHECK(&p() == &p.materialised);
}

TEST_CASE("reading what is not materialised names the parameter and the remedy") {
  Parameter p{.shape = {2}};
  CHECK_THROWS_WITH_AS(p(), doctest::Contains("a parameter: read outside the forward pass"), ArgumentError);
  CHECK_THROWS_WITH_AS(p(), doctest::Contains("call init first"), ArgumentError);
  p.name = "layers.0.attention.wq.weight";
  p.owned = at::zeros({2});
  CHECK_THROWS_WITH_AS(p(), doctest::Contains("layers.0.attention.wq.weight: read outside"), ArgumentError);
  try {
    p();
  } catch (ArgumentError const& error) {
    CHECK(std::string(error.what()).find("init") == std::string::npos);  // it has been initialised
  }
}
