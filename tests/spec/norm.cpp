// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/norm.hpp"

#include <doctest/doctest.h>

using lierne::RmsNorm;

static_assert(lierne::Fills<RmsNorm, lierne::Role::norm>);
static_assert(RmsNorm{}.epsilon == 1e-5 && RmsNorm{}.parameters(384) == 384);
static_assert(RmsNorm{} != RmsNorm{.epsilon = 1e-6});

TEST_CASE("the name tells an epsilon that is not the usual one") {
  CHECK(RmsNorm{}.name() == "rmsnorm");
  CHECK(RmsNorm{.epsilon = 1e-6}.name() == "rmsnorm 1e-06");
}

static_assert(lierne::Fills<lierne::LayerNorm, lierne::Role::norm>);
static_assert(lierne::LayerNorm{}.parameters(64) == 128 && lierne::LayerNorm{.bias = false}.parameters(64) == 64);

TEST_CASE("layer normalisation is named by what differs") {
  CHECK(lierne::LayerNorm{}.name() == "layernorm");
  CHECK(lierne::LayerNorm{.epsilon = 1e-6, .bias = false}.name() == "layernorm 1e-06 without bias");
}
