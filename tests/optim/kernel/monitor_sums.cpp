// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/monitor_sums.hpp"

#include <doctest/doctest.h>

#include <cstring>

#include "rules.hpp"

using namespace lierne;

namespace {

template <class T>
std::vector<T> waves(std::int64_t from, std::int64_t size) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(test::wave<T>(from + i));
  return values;
}

template <class T>
MonitorSums sums(std::int64_t size, bool moment, bool moment2) {
  auto const before = waves<T>(0, size), after = waves<T>(3, size), gradient = waves<T>(7, size), m = waves<T>(1, size);
  FourSums four;
  add_block(MonitoredBlock<T>{before.data(), after.data(), gradient.data(), moment ? m.data() : nullptr,
                              moment2 ? m.data() : nullptr, T(0.5), size},
            four);
  return joined(four);
}

}  // namespace

TEST_CASE_TEMPLATE("a wrong element of any array shows in its sums and in no other", T, float, double) {
  // Before, after, gradient, moment and second moment; `array` -1 leaves all as they are.
  auto const sums_with = [](int array, std::size_t at) {
    std::vector<std::vector<T>> a{waves<T>(0, 78), waves<T>(3, 78), waves<T>(7, 78), waves<T>(1, 78), waves<T>(5, 78)};
    if (array >= 0) a[static_cast<std::size_t>(array)][at] += T(3);
    FourSums four;
    add_block(MonitoredBlock<T>{a[0].data(), a[1].data(), a[2].data(), a[3].data(), a[4].data(), T(0.5), 78}, four);
    return joined(four);
  };
  auto const good = sums_with(-1, 0);
  for (std::size_t const at : {0, 1, 3, 40, 75, 77}) {  // the last one lies behind the fours
    CAPTURE(at);
    for (int array = 0; array < 5; ++array) {
      CAPTURE(array);
      auto const bad = sums_with(array, at);
      CHECK((bad.update != good.update) == (array == 0 || array == 1));
      CHECK((bad.weight != good.weight) == (array == 1));
      CHECK((bad.gradient != good.gradient) == (array == 2));
      CHECK((bad.dot != good.dot) == (array <= 2));
      CHECK((bad.moment != good.moment) == (array == 3));
      CHECK((bad.moment2 != good.moment2) == (array == 4));
      CHECK((bad.largest > good.largest) == (array == 4));
    }
  }
}

TEST_CASE_TEMPLATE("blocks of every length are summed as a plain loop sums them", T, float, double) {
  for (std::int64_t const size : {0, 1, 3, 4, 5, 8, 31, 512}) {
    CAPTURE(size);
    auto const before = waves<T>(0, size), after = waves<T>(3, size), gradient = waves<T>(7, size), m = waves<T>(1, size);
    double update = 0, weight = 0, squares = 0, dot = 0, moment = 0, least = FourSums::infinity, most = -FourSums::infinity;
    for (std::size_t i = 0; i < before.size(); ++i) {
      double const d = before[i] - after[i], g = T(0.5) * gradient[i];
      update += d * d, squares += g * g, dot += d * g;
      weight += static_cast<double>(after[i]) * after[i], moment += static_cast<double>(m[i]) * m[i];
      least = std::min<double>(least, m[i]), most = std::max<double>(most, m[i]);
    }
    auto const got = sums<T>(size, true, true);
    auto const close = [](double a, double b) { return std::abs(a - b) <= 1e-12 * (1 + std::abs(b)); };
    CHECK(close(got.update, update));
    CHECK(close(got.weight, weight));
    CHECK(close(got.gradient, squares));
    CHECK(close(got.dot, dot));
    CHECK(close(got.moment, moment));
    CHECK(close(got.moment2, moment));
    CHECK(-got.negative_smallest == least);
    CHECK(got.largest == most);
  }
}

TEST_CASE("the vectors' sums are those of single elements, bit for bit") {
  auto const before = waves<float>(0, 77), after = waves<float>(3, 77), gradient = waves<float>(7, 77);
  MonitoredBlock<float> const block{before.data(), after.data(), gradient.data(), before.data(), after.data(), 0.3f, 77};
  FourSums one, other;
  add_block(block, one);
  detail::add_singly<true, true>(block, 0, other);
  CHECK(std::memcmp(&one, &other, sizeof one) == 0);
}

TEST_CASE("arrays that a rule does not have add nothing") {
  auto const got = sums<double>(40, false, false);
  CHECK(got.moment == 0);
  CHECK(got.moment2 == 0);
  CHECK(got.largest == -FourSums::infinity);
  CHECK(got.update == sums<double>(40, true, true).update);
}
