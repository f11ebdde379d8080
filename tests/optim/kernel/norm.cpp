// SPDX-License-Identifier: Apache-2.0
// Sums of squares against a sum in long double, and the same bits from every instruction set and thread count.
#include "lierne/optim/kernel/norm.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace lierne;

namespace {

template <class T>
std::vector<T> waves(std::int64_t size) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(static_cast<T>(std::sin(0.37 * static_cast<double>(i)) * std::exp(static_cast<double>(i % 19 - 9))));
  return values;
}

template <class T>
double slowly(T const* values, std::int64_t size) {
  long double sum = 0;
  for (std::int64_t i = 0; i < size; ++i) sum += static_cast<long double>(values[i]) * static_cast<long double>(values[i]);
  return static_cast<double>(sum);
}

}  // namespace

TEST_CASE_TEMPLATE("a sum of squares is that of long double, at every size and offset", T, float, double) {
  auto const values = waves<T>(400);
  for (std::int64_t offset = 0; offset < 5; ++offset) {
    for (std::int64_t size = 0; size < 300; ++size) {
      auto const sum = sum_of_squares(values.data() + offset, size);
      CHECK(sum == doctest::Approx(slowly(values.data() + offset, size)).epsilon(1e-14));
    }
  }
}

TEST_CASE_TEMPLATE("both instruction sets give the same bits", T, float, double) {
#ifdef LIERNE_WIDE_PACK
  if (!wide_packs_run()) return;
  auto const values = waves<T>(4000);
  for (std::int64_t size : {0, 1, 15, 16, 17, 100, 1000, 3999}) {
    CHECK(detail::sum_of_squares_by_fours(values.data(), size) == detail::sum_of_squares_by_pairs(values.data(), size));
  }
#endif
}

TEST_CASE("tensors are summed with the same bits at any number of threads, strided ones as well") {
  std::vector<Tensor> const tensors{at::randn({300000}), at::randn({7, 11}).t(), at::empty({0}),
                                    at::randn({400, 500}, at::TensorOptions().dtype(float64)), at::scalar_tensor(3.0, at::TensorOptions().dtype(float32))};
  auto const threads = at::get_num_threads();
  at::set_num_threads(1);
  double const alone = sum_of_squares(tensors);
  double expected = 0;
  for (auto const& tensor : tensors) expected += tensor.to(float64).square().sum().item<double>();
  CHECK(alone == doctest::Approx(expected).epsilon(1e-12));
  at::set_num_threads(2);
  CHECK(sum_of_squares(tensors) == alone);
  at::set_num_threads(threads);
}

TEST_CASE("no float overflows in double, NaN and infinity come through") {
  std::vector<float> values(40, 1e30f);
  CHECK(sum_of_squares(values.data(), 40) == doctest::Approx(40 * 1e60));
  values[39] = INFINITY;
  CHECK(std::isinf(sum_of_squares(values.data(), 40)));
  values[3] = NAN;
  CHECK(std::isnan(sum_of_squares(values.data(), 40)));
}
