// SPDX-License-Identifier: Apache-2.0
// Vectors of AVX2 against single elements, bit for bit.
#include "lierne/optim/kernel/wide_pack.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/values.hpp"

using namespace lierne;

#ifdef LIERNE_WIDE_PACK
static_assert(Value<WidePack<float>> && Value<WidePack<double>>);
static_assert(WidePack<float>::lanes == 8 && WidePack<double>::lanes == 4);
static_assert(sizeof(WidePack<float>) == 32 && alignof(WidePack<float>) == 32);

TEST_CASE_TEMPLATE("every operation of a wide pack is a lane's", T, float, double) {
  if (!wide_packs_run()) return;
  auto const inputs = test::numbers<T>();
  auto const expected = test::results_by_lane<T>();
  std::vector<T> reversed(inputs.rbegin(), inputs.rend());
  constexpr std::size_t lanes = WidePack<T>::lanes;
  for (std::size_t i = 0; i < inputs.size(); i += lanes) {
    std::size_t operation = 0;
    test::every_operation(WidePack<T>::load(&inputs[i]), WidePack<T>::load(&reversed[i]), [&](WidePack<T> const& result) {
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

TEST_CASE("wide loads and stores need no alignment, and a scalar fills every lane") {
  if (!wide_packs_run()) return;
  float memory[17];
  for (int i = 0; i < 17; ++i) memory[i] = static_cast<float>(i);
  (WidePack<float>::load(memory + 1) + 10.0).store(memory + 3);
  for (int i = 0; i < 17; ++i) CHECK(memory[i] == static_cast<float>(i >= 3 && i < 11 ? i + 8 : i));
  float zeros[8];
  WidePack<float>(-0.0f).store(zeros);
  for (float zero : zeros) CHECK(std::signbit(zero));
}
#endif

TEST_CASE("the choice of wide packs is the processor's") {
#ifdef LIERNE_WIDE_PACK
  CHECK(wide_packs_run() == (__builtin_cpu_supports("avx2") != 0));
#else
  CHECK(!wide_packs_run());
#endif
}
