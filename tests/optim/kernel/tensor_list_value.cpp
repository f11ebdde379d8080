// SPDX-License-Identifier: Apache-2.0
// Lists of tensors as values against single elements, bit for bit.
#include "lierne/optim/kernel/tensor_list_value.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/values.hpp"

using namespace lierne;

static_assert(Value<TensorListValue>);

namespace {

// The numbers as tensors of different shapes.
template <class T>
TensorListValue list_of(std::vector<T> const& values) {
  auto tensor = at::empty({64}, at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value));
  std::copy(values.begin(), values.end(), tensor.template mutable_data_ptr<T>());
  return std::vector<Tensor>{tensor.slice(0, 0, 1).clone(), tensor.slice(0, 1, 31).clone().view({5, 6}), tensor.slice(0, 31).clone()};
}

}  // namespace

TEST_CASE_TEMPLATE("every operation of a list is a lane's", T, float, double) {
  auto const inputs = test::numbers<T>();
  auto const expected = test::results_by_lane<T>();
  std::vector<T> const reversed(inputs.rbegin(), inputs.rend());
  std::size_t operation = 0;
  test::every_operation(list_of(inputs), list_of(reversed), [&](TensorListValue const& result) {
    REQUIRE(result.tensors.size() == 3);
    auto const out = at::cat({result.tensors[0].view(-1), result.tensors[1].reshape(-1), result.tensors[2]});
    CHECK((out.scalar_type() == c10::CppTypeToScalarType<T>::value));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      CAPTURE(operation);
      CAPTURE(inputs[i]);
      CHECK(test::same_by_aten(out.template const_data_ptr<T>()[i], expected[i][operation], operation));
    }
    ++operation;
  });
}

TEST_CASE("numbers compute among themselves") {
  TensorListValue const two = 2.0, three = 3.0;
  CHECK((two * three - 1.0).number == 5);
  CHECK(maximum(two, three).number == 3);
  CHECK(sqrt(TensorListValue(9.0)).number == 3);
  CHECK((-two).number == -2);
}
