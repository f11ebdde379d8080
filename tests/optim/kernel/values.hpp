// SPDX-License-Identifier: Apache-2.0
// Inputs on which every kind of value must do what a single element does, bit for bit.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/value.hpp"

namespace lierne::test {

/// Numbers of all magnitudes, zeros of both signs, infinities, NaN, the smallest denormal.
template <class T>
std::vector<T> numbers() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values{T(0),  T(-0.0), T(1), T(-1), T(0.1), T(-2.5), T(3e7), T(-1e-9), T(1e-30), T(7),
                        Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), Limits::denorm_min(), Limits::max(), T(0.3)};
  std::uint64_t state = 42;
  while (values.size() < 64) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values.push_back(static_cast<T>(static_cast<double>(static_cast<std::int64_t>(state)) * 1e-18));
  }
  return values;
}

/// Every operation of a value, in a fixed order; `f` is called with each result.
template <class V, class Receive>
void every_operation(V const& a, V const& b, Receive&& receive) {
  using T = typename V::Scalar;
  receive(a + b);
  receive(a - b);
  receive(a * b);
  receive(a / b);
  receive(-a);
  receive(sqrt(a));
  receive(T(3) * a + T(0.5));
  receive(select(a < b, a, b));
  receive(select(a <= b, a, b));
  receive(select(a > b, a, b));
  receive(select(a >= b, a, b));
  receive(select(a != b, a, b));
  receive(select((a < b) | (b != b), a, b));
  receive(select((a < b) & (a > V(0)), a, b));
  receive(maximum(a, b));
  receive(maximum(a, T(0.25)));
  receive(minimum(a, b));
  receive(minimum(a, T(0.25)));
  receive(clamp(a, T(-1), T(1)));
  receive(absolute(a));
  receive(sign(a));
}

/// The same bits; NaN equals NaN, since the sign and payload of a NaN that an operation makes mean nothing.
template <class T>
bool same(T a, T b) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  return std::bit_cast<Bits>(a) == std::bit_cast<Bits>(b) || (a != a && b != b);
}

/// The place of `sqrt` in `every_operation`. ATen takes it from a vector library that may be one unit in the last place
/// off; every other operation is IEEE's, bit for bit.
inline constexpr std::size_t root_operation = 5;

/// Whether a result of ATen is the oracle's.
template <class T>
bool same_by_aten(T got, T expected, std::size_t operation) {
  if (same(got, expected)) return true;
  return operation == root_operation && got == std::nextafter(expected, got);
}

/// All results of every operation on all pairs (numbers[i], numbers[63 - i]), one element at a time: the oracle.
template <class T>
std::vector<std::vector<T>> results_by_lane() {
  auto const inputs = numbers<T>();
  std::vector<std::vector<T>> results;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto& own = results.emplace_back();
    every_operation(Lane<T>(inputs[i]), Lane<T>(inputs[inputs.size() - 1 - i]), [&](Lane<T> lane) { own.push_back(lane.value); });
  }
  return results;
}

}  // namespace lierne::test
