// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/power_sums.hpp"

#include <limits>

#include "nn/kernel/against.hpp"

using namespace lierne;
using testing::draw;

namespace {

/// One loop in double.
std::array<double, 5> by_loop(Tensor const& x) {
  auto const wide = x.to(float64).contiguous().flatten();
  std::array<double, 5> sums{};
  for (std::int64_t i = 0; i < wide.numel(); ++i) {
    double const value = wide.const_data_ptr<double>()[i];
    double power = 1;
    for (std::size_t p = 0; p < 4; ++p) sums[p] += power *= value;
    sums[4] = std::max(sums[4], std::abs(value));
  }
  return sums;
}

void equals_loop(Tensor const& x, double bound) {
  auto const expected = by_loop(x);
  for (int const powers : {2, 4}) {
    auto const found = kernel::power_sums(x, powers);
    CHECK((found.scalar_type() == float64));
    for (std::int64_t i = 0; i < 5; ++i) {
      CAPTURE(i);
      double const value = found[i].item<double>(), wanted = expected[static_cast<std::size_t>(i)];
      if (powers == 2 && (i == 2 || i == 3)) {
        CHECK(value == 0);
      } else if (i == 4) {
        CHECK(value == wanted);
      } else {
        // Odd sums nearly cancel: what is lost is a part of the even ones.
        auto const size = static_cast<double>(x.numel());
        double const scale = i == 0 ? std::sqrt(expected[1] * size) : std::max(expected[1], expected[3]);
        CHECK(std::abs(value - wanted) <= bound * scale);
      }
    }
  }
}

}  // namespace

TEST_CASE("the sums are those of a loop in double, in every dtype and wherever blocks end") {
  for (auto const dtype : {float32, bfloat16, float64}) {
    for (std::int64_t const size : {1, 15, 16, 17, 8192, 8193, 40001}) {
      CAPTURE(size);
      equals_loop(draw({size}, 3.0, 7).to(dtype), 1e-13);
    }
  }
  equals_loop(draw({30, 41}, 1.0, 8).to(float32).t(), 1e-13);  // not contiguous
  equals_loop(at::full({100}, -2.5, float32), 1e-15);
}

TEST_CASE("a wrong element anywhere shows") {
  for (std::int64_t const at : {0L, 8191L, 8192L, 9999L}) {
    auto x = draw({10000}, 1.0, 9).to(float32);
    auto const before = kernel::power_sums(x, 4);
    x[at] += 100;
    auto const after = kernel::power_sums(x, 4);
    for (int i = 0; i < 5; ++i) CHECK(after[i].item<double>() > before[i].item<double>());
  }
}

TEST_CASE("threads change no bit") {
  auto const x = draw({300000}, 1.0, 9).to(float32);
  auto const threads = at::get_num_threads();
  at::set_num_threads(1);
  auto const one = kernel::power_sums(x, 4);
  at::set_num_threads(3);
  CHECK(kernel::power_sums(x, 4).equal(one));
  at::set_num_threads(threads);
}

TEST_CASE("infinite and undefined values are shown and nothing has no maximum") {
  double const infinity = std::numeric_limits<double>::infinity();
  for (auto const dtype : {float32, float64}) {
    auto x = draw({100}, 1.0, 9).to(dtype);
    x[40] = -infinity;
    auto const found = kernel::power_sums(x, 4);
    CHECK(found[1].item<double>() == infinity);
    CHECK(found[4].item<double>() == infinity);
    x[41] = std::nan("");
    CHECK(kernel::power_sums(x, 4).isnan().all().item<bool>());
    auto const none = kernel::power_sums(at::empty({0, 3}, dtype), 2);
    CHECK(none[1].item<double>() == 0);
    CHECK(none[4].item<double>() == -infinity);
  }
}
