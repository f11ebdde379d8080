// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/vectors.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace kernel = lierne::kernel;

namespace {

std::vector<float> exponentials(std::vector<float> const& x) {
  std::vector<float> y(x.size());
  kernel::with_vectors([&]() __attribute__((always_inline)) {
    kernel::Exponential const exponential;
    auto const* from = x.data();
    auto* to = y.data();
    auto const count = static_cast<std::int64_t>(x.size());
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) to[i] = exponential(from[i]);
  });
  return y;
}

float sum(float const* x, std::int64_t count) {
  float total = 0;
  kernel::with_vectors([&]() __attribute__((always_inline)) {
    auto const* from = x;
    total = kernel::lane_sum(count, [=](std::int64_t i) __attribute__((always_inline)) { return from[i]; });
  });
  return total;
}

}  // namespace

static_assert(kernel::lanes == 16);

TEST_CASE("the exponential is within 2 ulp of float64's") {
  std::vector<float> x;
  for (float value = -87.0F; value <= 88.0F; value += 0.00137F) x.push_back(value);
  auto const y = exponentials(x);
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto const exact = std::exp(static_cast<double>(x[i]));
    auto const nearest = static_cast<float>(exact);
    auto const ulp = static_cast<double>(std::nextafter(nearest, INFINITY)) - static_cast<double>(nearest);
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) - exact) / ulp);
  }
  CHECK(worst <= 2.0);
  CHECK(worst > 0.0);
}

TEST_CASE("vectors, the baseline and a loop's tail give the same bits") {
  std::vector<float> x(1003);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * 20;
  auto const all = exponentials(x);
  kernel::Exponential const exponential;
  for (std::size_t i = 0; i < x.size(); ++i) {
    CHECK(all[i] == exponentials({x[i]})[0]);
    CHECK(all[i] == exponential(x[i]));
  }
}

TEST_CASE("a lane sum is the sum, and does not see where it lies") {
  for (std::int64_t count : {0, 1, 15, 16, 17, 255, 1000}) {
    std::vector<float> x(static_cast<std::size_t>(count) + 5);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::cos(static_cast<float>(i) * 0.7F);
    auto const exact = std::accumulate(x.begin(), x.begin() + count, 0.0);
    CHECK(std::abs(sum(x.data(), count) - exact) <= 1e-5);
    for (std::size_t shift : {1, 3, 5}) {
      std::vector<float> moved(shift, 0.0F);
      moved.insert(moved.end(), x.begin(), x.end());
      CHECK(sum(moved.data() + shift, count) == sum(x.data(), count));
    }
  }
}

TEST_CASE("the exponential of what lies outside is that of the bound; nothing overflows") {
  auto const y = exponentials({-1e30F, -87.0F, 88.0F, 1e30F, std::numeric_limits<float>::infinity(), 0.0F});
  CHECK(y[0] == y[1]);
  CHECK(y[2] == y[3]);
  CHECK(y[3] == y[4]);
  CHECK(std::isfinite(y[4]));
  CHECK(y[5] == 1.0F);
  CHECK(std::isnan(exponentials({std::numeric_limits<float>::quiet_NaN()})[0]));
}
