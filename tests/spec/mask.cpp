// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/mask.hpp"

#include <doctest/doctest.h>

using lierne::Causal;

static_assert(lierne::Fills<Causal, lierne::Role::mask> && Causal{} == Causal{});

TEST_CASE("masks are named") { CHECK(Causal{}.name() == "causal"); }
