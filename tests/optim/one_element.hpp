// SPDX-License-Identifier: Apache-2.0
// Runs a pipe of stages on one element, call after call.
#pragma once

#include <vector>

#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/pass.hpp"

namespace lierne::test {

/// Gradients of both signs, one of them zero.
inline std::vector<double> const few_gradients{0.3, -1.2, 2.5, 0, 0.7, -0.1, 4, -3};

/// What the stages make of the gradients, one after the other: the direction of each call.
template <Stage S>
std::vector<double> directions(S const& stages, std::vector<double> const& gradients = few_gradients) {
  std::vector<double> results;
  std::array<Lane<double>, Layout<S>::fields + 1> fields{};  // one more: an array may not be empty
  for (std::size_t t = 0; t < gradients.size(); ++t) {
    std::array<double, Layout<S>::numbers + 1> numbers;
    write_numbers(stages, Call<>{.calls = static_cast<std::int64_t>(t), .rate = 1}, numbers.data());
    Element<Lane<double>> at{.weight = 0, .gradient = gradients[t], .direction = gradients[t]};
    run_stages<S>(numbers.data(), at, fields.data());
    results.push_back(at.direction.value);
  }
  return results;
}

}  // namespace lierne::test
