// SPDX-License-Identifier: Apache-2.0
// Runs a layer without a model: gives its parameters values, and checks its gradients by finite differences.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <map>

#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/generator.hpp"
#include "lierne/tensor/members.hpp"

namespace alone {

using namespace lierne;

/// N(0, deviation²) rounded to float32, so that every wider dtype holds the same numbers.
inline Tensor normal(Shape const& shape, std::uint64_t seed, double deviation = 1) {
  auto values = at::empty(shape, at::TensorOptions().dtype(float32));
  values.normal_(0, deviation, make_generator(seed));
  return values.to(float64);
}

/// Draws every parameter below `module` from N(0, deviation²) and materialises it, as a model does while a unit runs.
/// Returns the leaves by name.
template <class M>
std::map<std::string, Tensor> ready(M& module, Dtype dtype, double deviation = 0.5, std::uint64_t seed = 100) {
  std::map<std::string, Tensor> leaves;
  walk(module, [&](std::string const& name, Parameter& p) {
    p.name = name;
    p.owned = normal(p.shape, seed++, deviation).to(dtype).requires_grad_();
    p.materialised = p.owned;
    leaves[name] = p.owned;
  });
  return leaves;
}

/// ‖a − b‖ / ‖b‖ in float64.
inline double relative(Tensor const& a, Tensor const& b) {
  REQUIRE(a.sizes() == b.sizes());
  return ((a.to(float64) - b.to(float64)).norm() / b.to(float64).norm()).item<double>();
}

/// Compares backward's gradient of `loss` at every element of the float64 leaves with a central difference of order 4.
inline void check_gradients(std::function<Tensor()> const& loss, std::map<std::string, Tensor> const& leaves) {
  for (auto const& [name, leaf] : leaves) leaf.mutable_grad() = Tensor();
  backward(loss());
  NoGrad guard;
  constexpr double step = 1e-3;  // truncation about step⁴, rounding about 1e-16 / step
  for (auto const& [name, leaf] : leaves) {
    CAPTURE(name);
    REQUIRE(leaf.grad().defined());
    REQUIRE(leaf.is_contiguous());
    auto expected = at::zeros_like(leaf);
    auto* const values = leaf.mutable_data_ptr<double>();
    auto* const differences = expected.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < leaf.numel(); ++i) {
      double const value = values[i];
      auto const at = [&](double offset) {
        values[i] = value + offset;
        return loss().item<double>();
      };
      differences[i] = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
      values[i] = value;
    }
    CHECK(relative(leaf.grad(), expected) <= 1e-8);
  }
}

/// The largest relative error of any leaf's gradient against the same leaf's in float64.
inline double worst_gradient(std::map<std::string, Tensor> const& found, std::map<std::string, Tensor> const& exact) {
  double worst = 0;
  for (auto const& [name, leaf] : exact) worst = std::max(worst, relative(found.at(name).grad(), leaf.grad()));
  return worst;
}

}  // namespace alone
