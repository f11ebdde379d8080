// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/rms_norm.hpp"

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

constexpr double epsilon = 1e-5;

Tensor fused(std::vector<Tensor> const& a) { return kernel::rms_norm(a[0], a[1], epsilon, a[0].scalar_type()); }
Tensor plain(std::vector<Tensor> const& a) { return at::rms_norm(a[0], {a[1].numel()}, a[1], epsilon); }

// Both results take part in the gradient; the sum with another weight than the norm.
Tensor fused_add(std::vector<Tensor> const& a) {
  auto const [sum, normed] = kernel::add_rms_norm(a[0], a[1], a[2], epsilon, a[0].scalar_type());
  return at::stack({sum * 0.25, normed});
}
Tensor plain_add(std::vector<Tensor> const& a) {
  auto const sum = a[0] + a[1];
  return at::stack({sum * 0.25, at::rms_norm(sum, {a[2].numel()}, a[2], epsilon)});
}

}  // namespace

TEST_CASE("rms_norm equals its formula, values and gradients") {
  for (auto const& shape : std::vector<Shape>{{7, 33}, {3, 50, 64}, {100, 256}, {1, 5}}) {
    auto const width = shape.back();
    against_float64(fused, plain, {draw(shape, 2, 1), draw({width}, 0.3, 2) + 1}, draw(shape, 1, 3), 4e-7);
  }
}

TEST_CASE("add_rms_norm equals an addition and a norm, values and gradients") {
  for (auto const& shape : std::vector<Shape>{{7, 33}, {3, 50, 64}, {100, 256}}) {
    auto const width = shape.back();
    auto doubled = shape;
    doubled.insert(doubled.begin(), 2);
    against_float64(fused_add, plain_add, {draw(shape, 2, 1), draw(shape, 1, 4), draw({width}, 0.3, 2) + 1},
                    draw(doubled, 1, 3), 4e-7);
  }
}

TEST_CASE("rms_norm has the same bits on any number of threads") {
  Shape const shape{333, 96};
  for (auto dtype : {float32, bfloat16}) {
    same_bits_for_any_threads(fused, {draw(shape, 2, 1), draw({96}, 0.3, 2)}, draw(shape, 1, 3), dtype);
  }
}

TEST_CASE("a float32 stream with a bfloat16 delta and result: the mixed precision of a block") {
  auto const stream = draw({20, 64}, 1, 1).to(float32).requires_grad_(), delta = draw({20, 64}, 1, 2).to(bfloat16).requires_grad_();
  auto const weight = (draw({64}, 0.1, 3) + 1).to(float32).requires_grad_();
  auto const upstream = draw({20, 64}, 1, 4).to(bfloat16);
  auto const [sum, normed] = kernel::add_rms_norm(stream, delta, weight, epsilon, bfloat16);
  CHECK((sum.scalar_type() == float32));
  CHECK((normed.scalar_type() == bfloat16));
  CHECK(at::equal(sum, stream + delta));
  auto const expected = at::rms_norm(stream + delta, {64}, weight, epsilon);
  CHECK(relative_error(normed, expected) < 2e-3);  // one rounding to 8 bits
  torch::autograd::backward({normed}, {upstream});
  auto const leaf = stream.detach().clone().requires_grad_(), weight_leaf = weight.detach().clone().requires_grad_();
  torch::autograd::backward({at::rms_norm(leaf + delta.detach(), {64}, weight_leaf, epsilon)}, {upstream.to(float32)});
  CHECK(relative_error(stream.grad(), leaf.grad()) < 1e-6);
  CHECK(relative_error(weight.grad(), weight_leaf.grad()) < 1e-6);
  CHECK((delta.grad().scalar_type() == bfloat16));
  CHECK(at::equal(delta.grad(), stream.grad().to(bfloat16)));
}

TEST_CASE("either result of add_rms_norm may go unused, and rows of zeros are finite") {
  auto const stream = draw({4, 32}, 1, 1).to(float32).requires_grad_(), delta = at::zeros({4, 32}).requires_grad_();
  auto const weight = at::ones({32}).requires_grad_();
  kernel::add_rms_norm(stream, delta, weight, epsilon, float32).sum.sum().backward();
  CHECK(at::equal(stream.grad(), at::ones({4, 32})));
  CHECK(at::equal(delta.grad(), at::ones({4, 32})));
  CHECK(weight.grad().abs().max().item<float>() == 0.0F);
  auto const zeros = at::zeros({3, 32}).requires_grad_();
  kernel::rms_norm(zeros, weight, epsilon, float32).sum().backward();
  CHECK(zeros.grad().isfinite().all().item<bool>());
}

TEST_CASE("rms_norm in float64 is ATen's") {
  auto const x = draw({5, 8}, 1, 1), weight = draw({8}, 1, 2);
  CHECK(at::equal(kernel::rms_norm(x, weight, epsilon, float64), at::rms_norm(x, {8}, weight, epsilon)));
  auto const [sum, normed] = kernel::add_rms_norm(x, x, weight, epsilon, float64);
  CHECK(at::equal(sum, x + x));
  CHECK(at::equal(normed, at::rms_norm(x + x, {8}, weight, epsilon)));
}

TEST_CASE("rms_norm refuses a weight of another length, add_rms_norm unlike summands") {
  CHECK_THROWS_WITH_AS(kernel::rms_norm(at::zeros({2, 3}), at::zeros({4}), epsilon, float32),
                       "rms_norm: expected a weight as long as the last dimension of x, found x [2, 3] and weight [4]", ShapeError);
  CHECK_THROWS_AS(kernel::add_rms_norm(at::zeros({2, 3}), at::zeros({3}), at::zeros({3}), epsilon, float32), ShapeError);
}
