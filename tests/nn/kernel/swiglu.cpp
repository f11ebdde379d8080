// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/swiglu.hpp"

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor fused(std::vector<Tensor> const& a) { return kernel::swiglu(a[0], a[1]); }
Tensor plain(std::vector<Tensor> const& a) { return at::silu(a[0]) * a[1]; }

}  // namespace

TEST_CASE("swiglu equals silu(gate) * up, values and gradients") {
  for (auto const& shape : std::vector<Shape>{{7, 33}, {3, 5, 1000}, {64, 512}}) {
    against_float64(fused, plain, {draw(shape, 3, 1), draw(shape, 1, 2)}, draw(shape, 1, 3));
  }
}

TEST_CASE("swiglu has the same bits on any number of threads") {
  Shape const shape{300, 257};
  for (auto dtype : {float32, bfloat16}) {
    same_bits_for_any_threads(fused, {draw(shape, 3, 1), draw(shape, 1, 2)}, draw(shape, 1, 3), dtype);
  }
}

TEST_CASE("swiglu takes strided arguments, a strided gradient and large values") {
  auto const both = draw({40, 96}, 2);
  auto const gate = both.narrow(1, 0, 48).to(float32), up = both.narrow(1, 48, 48).to(float32);
  auto const wide = both.to(float32);
  CHECK(at::equal(kernel::swiglu(wide.narrow(1, 0, 48), wide.narrow(1, 48, 48)), kernel::swiglu(gate, up)));
  auto const leaf = gate.clone().requires_grad_();
  kernel::swiglu(leaf, up).sum().backward();  // the gradient of a sum is expanded, stride 0
  auto const reference = gate.clone().requires_grad_();
  (at::silu(reference) * up).sum().backward();
  CHECK(at::allclose(leaf.grad(), reference.grad(), 1e-5, 1e-6));
  auto const extreme = at::tensor({-1e4F, -100.0F, 0.0F, 100.0F, 1e4F});
  CHECK(at::allclose(kernel::swiglu(extreme, at::ones({5})), at::silu(extreme), 1e-6, 1e-30));
}

TEST_CASE("swiglu in float64 is ATen's") {
  auto const gate = draw({5, 7}, 1, 1), up = draw({5, 7}, 1, 2);
  CHECK(at::equal(kernel::swiglu(gate, up), at::silu(gate) * up));
}

TEST_CASE("swiglu refuses unlike arguments") {
  CHECK_THROWS_WITH_AS(kernel::swiglu(at::zeros({2, 3}), at::zeros({2, 4})),
                       "swiglu: expected gate and up alike, found [2, 3] of Float and [2, 4] of Float", ShapeError);
  CHECK_THROWS_AS(kernel::swiglu(at::zeros({2}), at::zeros({2}, at::TensorOptions().dtype(bfloat16))), ShapeError);
}
