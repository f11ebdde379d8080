// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/linear_cross_entropy.hpp"

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor fused(std::vector<Tensor> const& a) { return kernel::linear_cross_entropy(a[0], a[1], a[2], 0.25); }
Tensor plain(std::vector<Tensor> const& a) {
  auto const logits = at::linear(a[0], a[1]);
  auto const wide = logits.scalar_type() == float64 ? logits : logits.to(float32);
  return at::cross_entropy_loss(wide.flatten(0, -2), a[2].flatten(), {}, at::Reduction::Sum, -100) * 0.25;
}
Tensor labels_of(at::IntArrayRef shape, std::int64_t classes) {
  auto labels = at::randint(classes, shape, at::make_generator<at::CPUGeneratorImpl>(9), at::TensorOptions().dtype(int64));
  labels.view(-1)[1] = -100;
  return labels;
}

}  // namespace

TEST_CASE("linear_cross_entropy equals a product and a cross entropy, value and gradients") {
  // 8192 classes make chunks of 256 rows: one whole, one cut short, and part of one.
  against_float64(fused, plain, {draw({2, 50, 24}), draw({33, 24}, 1, 2), labels_of({2, 50}, 33)}, at::scalar_tensor(1.0), 1e-6);
  against_float64(fused, plain, {draw({300, 16}), draw({8192, 16}, 0.5, 2), labels_of({300}, 8192)}, at::scalar_tensor(1.0), 1e-6);
  CHECK(kernel::detail::logit_rows(8192) == 256);
}

TEST_CASE("a factor inside equals one outside") {
  auto const hidden = draw({40, 16}).to(float32).requires_grad_(), weight = draw({30, 16}, 1, 2).to(float32).requires_grad_();
  auto const labels = labels_of({40}, 30);
  kernel::linear_cross_entropy(hidden, weight, labels, 0.125).backward();
  auto const inside = hidden.grad().clone(), weight_inside = weight.grad().clone();
  hidden.mutable_grad().reset();
  weight.mutable_grad().reset();
  (kernel::linear_cross_entropy(hidden, weight, labels) * 0.125).backward();
  CHECK(relative_error(hidden.grad(), inside) < 1e-6);
  CHECK(relative_error(weight.grad(), weight_inside) < 1e-6);
}

TEST_CASE("without a gradient only the value is made") {
  auto const hidden = draw({40, 16}).to(float32), weight = draw({30, 16}, 1, 2).to(float32).requires_grad_();
  auto const labels = labels_of({40}, 30);
  auto const with = kernel::linear_cross_entropy(hidden, weight, labels).item<float>();
  NoGrad guard;
  auto const without = kernel::linear_cross_entropy(hidden, weight, labels);
  CHECK_FALSE(without.requires_grad());
  CHECK(without.item<float>() == with);
}

TEST_CASE("linear_cross_entropy refuses unlike sizes, dtypes and labels") {
  auto const labels = at::zeros({2}, at::TensorOptions().dtype(int64));
  CHECK_THROWS_WITH_AS(kernel::linear_cross_entropy(at::zeros({2, 3}), at::zeros({4, 5}), labels),
                       "linear_cross_entropy: expected hidden [..., D], weight [V, D] of its dtype and labels [...], found "
                       "[2, 3] of Float, [4, 5] of Float and [2]",
                       ShapeError);
  CHECK_THROWS_AS(kernel::linear_cross_entropy(at::zeros({2, 3}), at::zeros({4, 3}), labels + 4), ArgumentError);
}
