// SPDX-License-Identifier: Apache-2.0
#include "optim/compositions/random_rule.hpp"

TEST_CASE("random compositions 200 to 249: fused, foreach and loop agree") {
  lierne::test::compare_range<200>(std::make_integer_sequence<unsigned, 50>{});
}
