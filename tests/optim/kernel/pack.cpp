// SPDX-License-Identifier: Apache-2.0
// Vectors of the build's own target against single elements, bit for bit.
#include "lierne/optim/kernel/pack.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/values.hpp"

using namespace lierne;

static_assert(Value<Pack<float>> && Value<Pack<double>>);
static_assert(Pack<float>::lanes == 4 && Pack<double>::lanes == 2);

TEST_CASE_TEMPLATE("every operation of a pack is a lane's", T, float, double) {
  auto const inputs = test::numbers<T>();
  auto const expected = test::results_by_lane<T>();
  std::vector<T> reversed(inputs.rbegin(), inputs.rend());
  constexpr std::size_t lanes = Pack<T>::lanes;
  for (std::size_t i = 0; i < inputs.size(); i += lanes) {
    std::size_t operation = 0;
    test::every_operation(Pack<T>::load(&inputs[i]), Pack<T>::load(&reversed[i]), [&](Pack<T> const& result) {
      T out[lanes];
      result.store(out);
      for (std::size_t k = 0; k < lanes; ++k) {
        CAPTURE(operation);
        CAPTURE(inputs[i + k]);
        CAPTURE(reversed[i + k]);
        CHECK(test::same(out[k], expected[i + k][operation]));
      }
      ++operation;
    });
  }
}

TEST_CASE("loads and stores need no alignment, and a scalar fills every lane") {
  float memory[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  (Pack<float>::load(memory + 1) + 10.0).store(memory + 3);
  float const expected[9] = {0, 1, 2, 11, 12, 13, 14, 7, 8};
  for (int i = 0; i < 9; ++i) CHECK(memory[i] == expected[i]);
  float zeros[4];
  Pack<float>(-0.0f).store(zeros);
  for (float zero : zeros) CHECK(std::signbit(zero));
}
