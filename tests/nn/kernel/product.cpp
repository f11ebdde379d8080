// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/product.hpp"

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor fused(std::vector<Tensor> const& a) { return kernel::linear(a[0], a[1]); }
Tensor plain(std::vector<Tensor> const& a) { return at::linear(a[0], a[1]); }
// The widened form, whatever this processor prefers.
Tensor widened(std::vector<Tensor> const& a) {
  return a[0].scalar_type() == bfloat16 ? kernel::detail::LinearFunction::apply(a[0], a[1], float32) : at::linear(a[0], a[1]);
}

}  // namespace

TEST_CASE("linear equals the product, values and gradients") {
  against_float64(fused, plain, {draw({3, 5, 40}), draw({24, 40}, 1, 2)}, draw({3, 5, 24}, 1, 3), 1e-6);
  against_float64(widened, plain, {draw({30, 64}), draw({48, 64}, 1, 2)}, draw({30, 48}, 1, 3), 1e-6);
}

TEST_CASE("large products equal those of float64, whichever library multiplies") {
  against_float64(fused, plain, {draw({3, 171, 257}), draw({513, 257}, 1, 2)}, draw({3, 171, 513}, 1, 3), 1e-6);
  auto const a = draw({300, 260}).to(float32), square = draw({260, 260}, 1, 2).to(float32);
  for (auto const& b : {square, square.t()}) {
    auto const want = at::mm(a.to(float64), b.to(float64));
    auto const error = [&](Tensor const& got) { return (got.to(float64) - want).norm().item<double>() / want.norm().item<double>(); };
    auto into = at::empty({300, 260});
    kernel::detail::matrix_product_to(into, a, b);
    CHECK(error(kernel::detail::matrix_product(a, b)) < 1e-6);
    CHECK(at::equal(into, kernel::detail::matrix_product(a, b)));
  }
  // Neither a matrix with gaps nor a small one goes another way than ATen's.
  CHECK_FALSE(kernel::detail::suits_onednn(draw({300, 520}).to(float32).narrow(1, 0, 260), square));
  CHECK_FALSE(kernel::detail::suits_onednn(a, square.narrow(0, 0, 2).t()));
}

TEST_CASE("small products of float32 and float64 are ATen's, and only bfloat16 on a CPU is ever widened") {
  for (auto dtype : {float32, float64}) {
    auto const x = draw({4, 8}).to(dtype), weight = draw({6, 8}, 1, 2).to(dtype);
    CHECK_FALSE(kernel::widens(x));
    CHECK(at::equal(kernel::linear(x, weight), at::linear(x, weight)));
  }
  CHECK_FALSE(kernel::widens(at::empty({2}, at::TensorOptions().dtype(bfloat16).device(at::kMeta))));
}

TEST_CASE("a product's gradient goes only where it is wanted") {
  auto const x = draw({4, 8}).to(bfloat16), weight = draw({6, 8}, 1, 2).to(bfloat16).requires_grad_();
  kernel::linear(x, weight).sum().backward();
  CHECK((weight.grad().scalar_type() == bfloat16));
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("linear refuses unlike sizes and dtypes") {
  CHECK_THROWS_WITH_AS(kernel::linear(at::zeros({2, 3}), at::zeros({4, 5})),
                       "linear: expected x [..., in] and a weight [out, in] of one dtype, found [2, 3] of Float and [4, 5] of Float",
                       ShapeError);
  CHECK_THROWS_AS(kernel::linear(at::zeros({2, 3}), at::zeros({4, 3}).to(bfloat16)), ShapeError);
}
