// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/scaling.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

using lierne::MuP;
using lierne::Normal;
using lierne::Standard;

static_assert(lierne::Fills<Standard, lierne::Role::scaling>);
static_assert(Standard{}.by_depth && Standard{}.deviation == 0.02 && Standard{}.embedding_deviation == 1);

static_assert(lierne::Fills<MuP, lierne::Role::scaling>);
static_assert(MuP{.base_width = 128}.width_multiplier(1024) == 8 && MuP{.base_layers = 4}.depth_multiplier(6) == 1.5);
static_assert(MuP{}.depth_multiplier(48) == 1);

TEST_CASE("first values of the standard parametrisation are Llama's") {
  Standard const standard{.deviation = 0.03};
  CHECK(standard.embedding() == Normal{1});
  CHECK(standard.inward(512) == Normal{0.03, 2});
  CHECK(standard.outward(512, 7, 32).deviation == doctest::Approx(0.03 / 4).epsilon(1e-15));
  CHECK(Standard{.by_depth = false}.outward(512, 7, 32).deviation == doctest::Approx(0.02 / 8).epsilon(1e-15));
  CHECK(standard.output(64) == Normal{0.125, 0.375});
  CHECK(standard.attention_scale(16) == 0.25);
  CHECK(standard.branch_multiplier(99) == 1);
}

// MUP.md's rules, number by number: m_N = 4, m_L = 3.
TEST_CASE("muP follows width and depth") {
  MuP const mup{.base_width = 128, .base_layers = 2, .input = 5, .output_factor = 3};
  CHECK(mup.embedding() == Normal{0.02});
  CHECK(mup.inward(512).deviation == doctest::Approx(0.01).epsilon(1e-15));
  CHECK(mup.inward(512).bound == 0);
  CHECK(mup.outward(512, 3, 6) == mup.inward(512));
  CHECK(MuP{.base_width = 400}.output(6400).deviation == doctest::Approx(0.05).epsilon(1e-15));
  CHECK(MuP{.output_deviation = 0.02}.output(400) == Normal{0.02});
  CHECK(mup.input_multiplier() == 5);
  CHECK(mup.branch_multiplier(6) == doctest::Approx(1.0 / 3).epsilon(1e-15));
  CHECK(MuP{.base_layers = 2, .exponent = 0.5}.branch_multiplier(8) == doctest::Approx(0.5).epsilon(1e-15));
  CHECK(MuP{}.branch_multiplier(8) == 1);
  CHECK(mup.output_multiplier(512) == 0.75);
}

TEST_CASE("at the base muP is a parametrisation like any other") {
  MuP const mup{.base_width = 128, .base_layers = 4, .base_head_size = 64};
  CHECK(mup.inward(128) == Normal{0.02});
  CHECK(mup.branch_multiplier(4) == 1);
  CHECK(mup.output_multiplier(128) == 1);
  CHECK(mup.output(128).deviation == Standard{}.output(128).deviation);
  CHECK(mup.attention_scale(64) == 0.125);
  CHECK(mup.attention_scale(256) == doctest::Approx(8.0 / 256).epsilon(1e-15));
  CHECK(MuP{}.attention_scale(256) == 0.0625);
}

TEST_CASE("the name tells what differs from the defaults") {
  CHECK(Standard{}.name() == "standard");
  std::set<std::string> const names{Standard{}.name(), Standard{.by_depth = false}.name(),
                                    Standard{.deviation = 0.01}.name(), Standard{.embedding_deviation = 0.01}.name()};
  CHECK(names.size() == 4);
  CHECK(MuP{}.name() == "mup 256");
  CHECK(MuP{.base_width = 128, .base_layers = 1.5, .input = 10}.name() == "mup 128x1.5 input 10");
  std::set<std::string> const mups{MuP{}.name(), MuP{.base_width = 64}.name(), MuP{.base_layers = 2}.name(),
                                   MuP{.exponent = 0.5}.name(), MuP{.deviation = 0.01}.name(),
                                   MuP{.embedding_deviation = 1}.name(), MuP{.output_deviation = 0.1}.name(),
                                   MuP{.input = 2}.name(), MuP{.output_factor = 2}.name(), MuP{.base_head_size = 64}.name()};
  CHECK(mups.size() == 10);
}
