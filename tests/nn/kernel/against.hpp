// SPDX-License-Identifier: Apache-2.0
// How the tests of the fused passes compare: values and gradients against plain ATen operators in float64.
#pragma once

#include <doctest/doctest.h>

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/function.hpp"

namespace lierne::testing {

using Operation = std::function<Tensor(std::vector<Tensor> const&)>;

/// The value of `operation` and the gradients of (value ⊙ upstream).sum() with respect to every floating argument.
inline std::vector<Tensor> value_and_gradients(Operation const& operation, std::vector<Tensor> arguments,
                                               Tensor const& upstream, Dtype dtype) {
  std::vector<Tensor> leaves;
  for (auto& a : arguments) {
    if (!a.is_floating_point()) continue;
    a = a.to(dtype).detach().clone().requires_grad_();
    leaves.push_back(a);
  }
  auto const value = operation(arguments);
  torch::autograd::backward({value}, {upstream.to(value.scalar_type()).expand_as(value).contiguous()});
  std::vector<Tensor> results{value.detach()};
  for (auto const& leaf : leaves) results.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
  return results;
}

/// ‖a - b‖ / ‖b‖ in float64.
inline double relative_error(Tensor const& a, Tensor const& exact) {
  auto const norm = exact.to(float64).norm().item<double>();
  return (a.to(float64) - exact.to(float64)).norm().item<double>() / (norm > 0 ? norm : 1.0);
}

/// Arguments of the same distribution: the elements of each floating one in another order.
inline std::vector<Tensor> shuffled(std::vector<Tensor> const& arguments, std::uint64_t seed) {
  std::vector<Tensor> all;
  auto const generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (auto const& a : arguments) {
    auto const order = at::randperm(a.numel(), generator, at::TensorOptions().dtype(at::kLong));
    all.push_back(a.is_floating_point() ? a.flatten().index_select(0, order).view(a.sizes()) : a);
  }
  return all;
}

/// Compares `fused` with `plain`, the same mathematics in ATen operators. float32: within `bound` of float64, relative
/// 2-norm. bfloat16: the error against float64 from the same rounded arguments is at most 1.25 times that of `plain`, over
/// several draws together: of a few elements a single draw says little.
inline void against_float64(Operation const& fused, Operation const& plain, std::vector<Tensor> const& arguments,
                            Tensor const& upstream, double bound = 3e-7) {
  auto const exact = value_and_gradients(plain, arguments, upstream, float64);
  auto const found = value_and_gradients(fused, arguments, upstream, float32);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    INFO("float32, result ", i, " (0: value, then gradients)");
    CHECK(found[i].sizes() == exact[i].sizes());
    CHECK(relative_error(found[i], exact[i]) <= bound);
  }

  constexpr std::uint64_t draws = 24;
  constexpr double float32_level = 1e-6;  // nobody rounds to bfloat16 what is 0, or exact in it
  std::vector<double> of_peer(exact.size()), of_ours(exact.size());
  auto const square = [](Tensor const& a, Tensor const& b) {
    auto const norm = b.norm().item<double>();
    return std::pow((a.to(float64) - b).norm().item<double>() / (norm > 0 ? norm : 1.0), 2);
  };
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    std::vector<Tensor> rounded;
    for (auto const& a : draw == 0 ? arguments : shuffled(arguments, draw)) {
      rounded.push_back(a.is_floating_point() ? a.to(bfloat16).to(float64) : a);
    }
    auto const upstream_rounded = upstream.to(bfloat16).to(float64);
    auto const target = value_and_gradients(plain, rounded, upstream_rounded, float64);
    auto const peer = value_and_gradients(plain, rounded, upstream_rounded, bfloat16);
    auto const ours = value_and_gradients(fused, rounded, upstream_rounded, bfloat16);
    for (std::size_t i = 0; i < target.size(); ++i) {
      of_peer[i] += square(peer[i], target[i]);
      of_ours[i] += square(ours[i], target[i]);
    }
  }
  for (std::size_t i = 0; i < exact.size(); ++i) {
    INFO("bfloat16, result ", i, " (0: value, then gradients)");
    CHECK(std::sqrt(of_ours[i] / draws) <= std::max(float32_level, 1.25 * std::sqrt(of_peer[i] / draws)));
  }
}

/// The results of `operation` on one thread and on three are the same bits.
inline void same_bits_for_any_threads(Operation const& operation, std::vector<Tensor> const& arguments,
                                      Tensor const& upstream, Dtype dtype) {
  auto const threads = at::get_num_threads();
  at::set_num_threads(1);
  auto const one = value_and_gradients(operation, arguments, upstream, dtype);
  at::set_num_threads(3);
  auto const three = value_and_gradients(operation, arguments, upstream, dtype);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) {
    INFO("result ", i, " (0: value, then gradients)");
    CHECK(at::equal(one[i], three[i]));
  }
}

/// Values of N(0, deviation²) in float64 from a fixed seed.
inline Tensor draw(at::IntArrayRef shape, double deviation = 1.0, std::uint64_t seed = 1) {
  return at::randn(shape, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions().dtype(float64)) * deviation;
}

}  // namespace lierne::testing
