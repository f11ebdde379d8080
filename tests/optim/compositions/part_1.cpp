// SPDX-License-Identifier: Apache-2.0
#include "optim/compositions/random_rule.hpp"

TEST_CASE("random compositions 50 to 99: fused, foreach and loop agree") {
  lierne::test::compare_range<50>(std::make_integer_sequence<unsigned, 50>{});
}
