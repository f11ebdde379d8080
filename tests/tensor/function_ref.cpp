// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/function_ref.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

int sum_of(int count, FunctionRef<int(int)> value) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += value(i);
  return sum;
}
int square(int x) { return x * x; }

}  // namespace

TEST_CASE("a reference calls what it was given, and changes go to the original") {
  int calls = 0;
  auto const counted = [&calls](int x) {
    ++calls;
    return 2 * x;
  };
  CHECK(sum_of(4, counted) == 12);
  CHECK(calls == 4);
  CHECK(sum_of(4, square) == 14);
}
