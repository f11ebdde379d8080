// SPDX-License-Identifier: Apache-2.0
// Tensors as values against single elements, bit for bit.
#include "lierne/optim/kernel/tensor_value.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/values.hpp"

using namespace lierne;

static_assert(Value<TensorValue>);

namespace {

template <class T>
Tensor tensor_of(std::vector<T> const& values) {
  auto tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value));
  std::copy(values.begin(), values.end(), tensor.template mutable_data_ptr<T>());
  return tensor;
}

}  // namespace

TEST_CASE_TEMPLATE("every operation of a tensor is a lane's", T, float, double) {
  auto const inputs = test::numbers<T>();
  auto const expected = test::results_by_lane<T>();
  auto const tensor = tensor_of(inputs);
  std::size_t operation = 0;
  test::every_operation(TensorValue(tensor), TensorValue(tensor.flip(0)), [&](TensorValue const& result) {
    REQUIRE(!result.is_number());
    auto const out = result.tensor.contiguous();
    CHECK((out.scalar_type() == tensor.scalar_type()));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      CAPTURE(operation);
      CAPTURE(inputs[i]);
      CHECK(test::same_by_aten(out.template const_data_ptr<T>()[i], expected[i][operation], operation));
    }
    ++operation;
  });
}

TEST_CASE("numbers compute among themselves, and take the dtype of the tensor that they meet") {
  TensorValue const two = 2.0, three = 3.0;
  CHECK((two * three - 1.0).number == 5);
  CHECK(maximum(two, three).number == 3);
  CHECK(minimum(two, 1.0).number == 1);
  CHECK(sqrt(TensorValue(9.0)).number == 3);
  CHECK(pow(two, 10).number == 1024);
  CHECK(static_cast<bool>(two < three));
  CHECK(((two / TensorValue(at::full({2}, 4.0f))).tensor.scalar_type() == float32));
  auto const scalar = at::full({}, 0.5f);
  for (auto const& value : {two * scalar, two + scalar, scalar - two, two / scalar, select(two < TensorValue(scalar), two, scalar)}) {
    CHECK((value.tensor.scalar_type() == float32));
    CHECK(value.tensor.dim() == 0);
  }
}

TEST_CASE("gradients flow through the operations") {
  auto const x = at::full({3}, 4.0, at::TensorOptions().dtype(float64)).requires_grad_();
  auto const y = sqrt(TensorValue(x)) * 3.0 + maximum(TensorValue(x), 1.0);
  y.tensor.sum().backward();
  CHECK(at::allclose(x.grad(), at::full({3}, 3 * 0.25 + 1, x.options().requires_grad(false))));
}
