// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/whole_tensor.hpp"

#include <doctest/doctest.h>

using namespace lierne;

TEST_CASE("sums, sizes and numbers in a parameter's shape, for one tensor and for lists") {
  auto const a = at::arange(6, at::TensorOptions().dtype(float64)).view({2, 3}), b = at::full({1}, 4.0, a.options());
  TensorListValue const list(std::vector<Tensor>{a, b});
  CHECK(sum(TensorValue(a)).tensor.item<double>() == 15);
  CHECK(sum(list).tensors[1].item<double>() == 4);
  CHECK(size(TensorValue(a)).number == 6);
  CHECK(size(list).tensors[0].item<double>() == 6);
  CHECK(at::equal(like(TensorValue(a), 2).tensor, at::full({2, 3}, 2.0, a.options())));
  CHECK(at::equal(like(list, 2).tensors[1], at::full({1}, 2.0, a.options())));
  auto const share = list / sum(list);
  CHECK(at::allclose(share.tensors[0], a / 15));
  CHECK(share.tensors[1].item<double>() == 1);
}

TEST_CASE("the sum carries a gradient") {
  auto const x = at::arange(3, at::TensorOptions().dtype(float64)).requires_grad_();
  sum(TensorValue(x * x)).tensor.backward();
  CHECK(at::equal(x.grad(), 2 * x.detach()));
}
