// SPDX-License-Identifier: Apache-2.0
// The vector loops against one element at a time, bit for bit.
#include "lierne/optim/kernel/fused_kernel.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/kernel/lane.hpp"
#include "optim/kernel/rules.hpp"
#include "optim/kernel/values.hpp"

using namespace lierne;

namespace {

constexpr std::size_t size = 32;

template <class T>
struct Arrays {
  std::array<T, size> weight, gradient;
  std::array<std::array<T, size>, 3> fields;

  Arrays() {
    for (std::size_t i = 0; i < size; ++i) {
      auto const at = static_cast<std::int64_t>(i);
      weight[i] = test::wave<T>(at);
      gradient[i] = test::wave<T>(at + 100);
      for (std::size_t k = 0; k < 3; ++k) fields[k][i] = std::abs(test::wave<T>(at + 200 * static_cast<std::int64_t>(k + 1)));
    }
    gradient[5] = std::numeric_limits<T>::quiet_NaN();
    gradient[6] = std::numeric_limits<T>::infinity();
    gradient[7] = std::numeric_limits<T>::denorm_min();
  }
  bool operator==(Arrays const& other) const {
    bool equal = true;
    for (std::size_t i = 0; i < size; ++i) {
      equal = equal && test::same(weight[i], other.weight[i]);
      for (std::size_t k = 0; k < 3; ++k) equal = equal && test::same(fields[k][i], other.fields[k][i]);
    }
    return equal;
  }
};

template <class Node, class T>
void compare(Node const& rule, std::int64_t calls) {
  using Whole = Applied<Node>;
  std::array<double, Layout<Whole>::numbers> exact;
  write_numbers(applied(rule), Call<>{.calls = calls, .rate = 0.01, .factor = 0.5, .norm = 3}, exact.data());
  std::array<T, Layout<Whole>::numbers> numbers;
  std::copy(exact.begin(), exact.end(), numbers.begin());

  Arrays<T> expected;
  for (std::size_t i = 0; i < size; ++i) {
    Element<Lane<T>> at{.weight = expected.weight[i], .gradient = expected.gradient[i], .direction = {}};
    Lane<T> fields[4] = {expected.fields[0][i], expected.fields[1][i], expected.fields[2][i], {}};
    run_stages<Whole>(numbers.data(), at, fields);
    expected.weight[i] = at.weight.value;
    for (std::size_t k = 0; k < Layout<Whole>::fields; ++k) expected.fields[k][i] = fields[k].value;
  }
  Arrays<T> const untouched;
  CHECK_FALSE(expected == untouched);

  auto const by = [&](auto const& run, int lanes) {
    Arrays<T> arrays;
    T* fields[3] = {arrays.fields[0].data(), arrays.fields[1].data(), arrays.fields[2].data()};
    run(Stretch<T>{arrays.weight.data(), arrays.gradient.data(), fields, numbers.data(), static_cast<std::int64_t>(size) / lanes});
    CHECK(arrays == expected);
  };
  by([](Stretch<T> const& s) { run_packs<Whole>(s); }, Pack<T>::lanes);
  by([](Stretch<T> const& s) { run_packs<Whole, StageCode::apart>(s); }, Pack<T>::lanes);
#ifdef LIERNE_WIDE_PACK
  if (wide_packs_run()) by([](Stretch<T> const& s) { run_wide_packs<Whole>(s); }, WidePack<T>::lanes);
#endif
}

}  // namespace

TEST_CASE_TEMPLATE("every rule does in vectors what it does on one element, the first call included", T, float, double) {
  test::for_each_rule([](auto const& rule) {
    CAPTURE(name(rule));
    for (std::int64_t calls : {0, 1, 50}) compare<std::remove_cvref_t<decltype(rule)>, T>(rule, calls);
  });
}

TEST_CASE("a stretch of no packs touches nothing") {
  using Whole = Applied<decltype(adamw())>;
  std::array<float, Layout<Whole>::numbers> numbers{};
  run_packs<Whole>(Stretch<float>{nullptr, nullptr, std::array<float*, 2>{}.data(), numbers.data(), 0});
}
