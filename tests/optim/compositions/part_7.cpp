// SPDX-License-Identifier: Apache-2.0
#include "optim/compositions/random_rule.hpp"

TEST_CASE("random compositions 350 to 399: fused, foreach and loop agree") {
  lierne::test::compare_range<350>(std::make_integer_sequence<unsigned, 50>{});
}
