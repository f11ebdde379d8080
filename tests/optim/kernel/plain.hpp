// SPDX-License-Identifier: Apache-2.0
// A rule that is short enough to be written as a plain loop: the oracle of every path.
#pragma once

#include <cstdint>
#include <vector>

#include "lierne/optim/momentum.hpp"
#include "lierne/optim/rule.hpp"

namespace lierne::test {

/// m <- m + (1 - β)(g - m); w <- w - η m.
inline constexpr auto plain_rule = recipe("plain", 0.1, momentum<Bias::kept>({.beta = 0.9}));
using PlainRule = std::remove_const_t<decltype(plain_rule)>;
/// 1 - β and η, as a driver gets them.
inline constexpr double plain_numbers[2] = {1 - 0.9, 0.1};

/// `size` numbers in (-10, 10), another row for each seed.
template <class T>
std::vector<T> row(std::int64_t size, std::uint64_t seed) {
  std::vector<T> values;
  std::uint64_t state = seed * 2 + 1;
  for (std::int64_t i = 0; i < size; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values.push_back(static_cast<T>(static_cast<double>(static_cast<std::int64_t>(state)) * 1e-18));
  }
  return values;
}

/// Weight, gradient and the one field of a parameter, and the step of `plain_rule` on them, element by element.
template <class T>
struct Plain {
  std::vector<T> weight, gradient, average;

  explicit Plain(std::int64_t size, std::uint64_t seed = 1)
      : weight(row<T>(size, seed)), gradient(row<T>(size, seed + 100)), average(row<T>(size, seed + 200)) {}

  void step(double const* numbers = plain_numbers) {
    T const mix = static_cast<T>(numbers[0]), rate = static_cast<T>(numbers[1]);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      average[i] = average[i] + mix * (gradient[i] - average[i]);
      weight[i] = weight[i] - rate * average[i];
    }
  }
};

}  // namespace lierne::test
