// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/cross_entropy.hpp"

#include "against.hpp"

#include <cmath>

using namespace lierne;
using kernel::CrossEntropyOptions;
using namespace lierne::testing;

namespace {

Tensor fused(std::vector<Tensor> const& a) { return kernel::cross_entropy_sum(a[0], a[1]); }
Tensor plain(std::vector<Tensor> const& a) {
  auto const wide = a[0].scalar_type() == float64 ? a[0] : a[0].to(float32);
  return at::cross_entropy_loss(wide.flatten(0, -2), a[1].flatten(), {}, at::Reduction::Sum, -100);
}
Tensor labels_of(at::IntArrayRef shape, std::int64_t classes) {
  auto labels = at::randint(classes, shape, at::make_generator<at::CPUGeneratorImpl>(9), at::TensorOptions().dtype(int64));
  labels.view(-1)[1] = -100;
  return labels;
}

}  // namespace

TEST_CASE("cross entropy equals a loop in float64") {
  auto const logits = draw({3, 5}, 2, 1).to(float32);
  auto const labels = at::tensor({4, -100, 0}, at::TensorOptions().dtype(int64));
  double expected = 0;
  for (int row : {0, 2}) {
    double sum = 0;
    for (int i = 0; i < 5; ++i) sum += std::exp(logits[row][i].item<double>());
    expected += std::log(sum) - logits[row][labels[row].item<std::int64_t>()].item<double>();
  }
  CHECK(kernel::cross_entropy_sum(logits, labels).item<double>() == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE("cross entropy equals ATen's in float64, value and gradient") {
  for (auto const& shape : std::vector<Shape>{{7, 33}, {4, 9, 1000}, {20, 4096}}) {
    Shape const rows(shape.begin(), shape.end() - 1);
    against_float64(fused, plain, {draw(shape, 3, 1), labels_of(rows, shape.back())}, at::scalar_tensor(0.37), 4e-7);
  }
}

TEST_CASE("a soft cap and a z-loss equal their formulas in float64, value and gradient") {
  for (CrossEntropyOptions const options : {CrossEntropyOptions{.soft_cap = 2}, CrossEntropyOptions{.z = 0.1},
                                            CrossEntropyOptions{.z = 0.03, .soft_cap = 30}}) {
    CAPTURE(options.z);
    CAPTURE(options.soft_cap);
    auto const with_options = [&](std::vector<Tensor> const& a) { return kernel::cross_entropy_sum(a[0], a[1], options); };
    auto const by_formula = [&](std::vector<Tensor> const& a) {
      auto y = (a[0].scalar_type() == float64 ? a[0] : a[0].to(float32)).flatten(0, -2);
      if (options.soft_cap != 0) y = options.soft_cap * (y / options.soft_cap).tanh();
      auto const lse = y.exp().sum(-1).log();
      auto const labels = a[1].flatten();
      auto const chosen = y.gather(1, labels.clamp_min(0).unsqueeze(1)).squeeze(1);
      return ((lse - chosen + options.z * lse * lse) * (labels != -100)).sum();
    };
    for (auto const& shape : std::vector<Shape>{{7, 33}, {4, 9, 1000}}) {
      Shape const rows(shape.begin(), shape.end() - 1);
      against_float64(with_options, by_formula, {draw(shape, 3, 1), labels_of(rows, shape.back())}, at::scalar_tensor(0.37), 6e-7);
    }
    same_bits_for_any_threads(with_options, {draw({130, 77}, 3, 1), labels_of({130}, 77)}, at::scalar_tensor(1.0), float32);
  }
}

TEST_CASE("the gradient through a cap is its formula on both sides of the switch of formulas") {
  // From far below the switch of formulas to saturation; one row a value, so that the loss is log(1 + e^-y).
  auto const y = at::cat({at::logspace(-6, 2, 500, 10.0, at::TensorOptions().dtype(float64)), at::linspace(0.45, 0.55, 500, float64)});
  auto const x = y.to(float32);
  auto const logits = at::stack({x, at::zeros_like(x)}, 1);
  auto const labels = at::ones({x.numel()}, at::TensorOptions().dtype(int64));
  auto const leaf = logits.clone().requires_grad_();
  kernel::cross_entropy_sum(leaf, labels, {.soft_cap = 2}).backward();
  auto const capped = 2 * (x.to(float64) / 2).tanh();
  // d/dx log(1 + e^c) = sigmoid(c) c', c' = 1 - (c/2)².
  auto const slope = 1 - (capped / 2).square();
  auto const expected = at::sigmoid(capped) * slope;
  auto const error = (leaf.grad().select(1, 0).to(float64) - expected).abs();
  CHECK(error.max().item<double>() <= 4e-7);
}

TEST_CASE("cross entropy has the same bits on any number of threads") {
  for (auto dtype : {float32, bfloat16}) {
    same_bits_for_any_threads(fused, {draw({130, 77}, 3, 1), labels_of({130}, 77)}, at::scalar_tensor(1.0), dtype);
  }
}

TEST_CASE("gradients of a row sum to zero, ignored rows have none, shifts change nothing") {
  auto const logits = draw({6, 50}, 3, 1).to(float32).requires_grad_();
  auto const labels = labels_of({6}, 50);
  kernel::cross_entropy_sum(logits, labels).backward();
  CHECK(logits.grad().sum(-1).abs().max().item<float>() < 1e-6F);
  CHECK(logits.grad()[1].abs().max().item<float>() == 0.0F);
  auto const shifted = kernel::cross_entropy_sum(logits.detach() + 1000, labels).item<float>();
  CHECK(shifted == doctest::Approx(kernel::cross_entropy_sum(logits.detach(), labels).item<float>()).epsilon(1e-4));
}

TEST_CASE("far logits stay finite; no valid label gives 0 and no gradient") {
  auto const far = at::tensor({-1e30F, 0.0F, 1e4F}).view({1, 3}).requires_grad_();
  auto const loss = kernel::cross_entropy_sum(far, at::zeros({1}, at::TensorOptions().dtype(int64)));
  CHECK(loss.item<float>() == doctest::Approx(1e30F));
  auto const none = at::full({2}, -100, at::TensorOptions().dtype(int64));
  auto const logits = draw({2, 4}).to(float32).requires_grad_();
  auto const zero = kernel::cross_entropy_sum(logits, none);
  zero.backward();
  CHECK(zero.item<float>() == 0.0F);
  CHECK(logits.grad().abs().max().item<float>() == 0.0F);
}

TEST_CASE("cross entropy refuses a label outside the vocabulary and labels that do not fit") {
  auto const labels = at::tensor({1, 7}, at::TensorOptions().dtype(int64));
  CHECK_THROWS_WITH_AS(kernel::cross_entropy_sum(at::zeros({2, 7}), labels),
                       "cross_entropy_sum: expected labels in [0, 7) or -100, found 7 in row 1", ArgumentError);
  CHECK_THROWS_AS(kernel::cross_entropy_sum(at::zeros({3, 7}), labels), ShapeError);
  CHECK_THROWS_AS(kernel::cross_entropy_sum(at::zeros({2, 7}), labels.to(at::kInt)), ShapeError);
}
