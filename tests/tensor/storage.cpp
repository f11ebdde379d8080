// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/storage.hpp"

#include <doctest/doctest.h>

#include "lierne/tensor/autograd.hpp"

using namespace lierne;

TEST_CASE("freed memory is gone for the tensor and all its views, and comes back for all of them") {
  auto const tensor = at::ones({4, 6});
  auto const view = tensor.narrow(0, 1, 2).t();
  CHECK_FALSE(storage_is_free(tensor));
  free_storage(tensor);
  CHECK(storage_is_free(tensor));
  CHECK(storage_is_free(view));
  CHECK(tensor.storage().data() == nullptr);
  CHECK(tensor.sizes() == at::IntArrayRef({4, 6}));

  restore_storage(tensor);
  CHECK_FALSE(storage_is_free(view));
  CHECK(tensor.storage().nbytes() == 4 * 6 * sizeof(float));
  tensor.copy_(at::arange(24).view({4, 6}));
  CHECK(view.equal(at::arange(6, 18).view({2, 6}).t().to(float32)));
}

TEST_CASE("a gradient through freed and refilled memory is the gradient") {
  auto const x = at::arange(6.0).view({2, 3}).requires_grad_();
  auto const weight = at::arange(12.0).view({3, 4}).clone();
  auto const kept = weight.clone();
  auto const y = at::mm(x, weight);
  auto const version = weight._version();
  free_storage(weight);
  CHECK(storage_is_free(weight));
  restore_storage(weight);
  {
    BelowAutograd guard;
    weight.copy_(kept);
  }
  CHECK(weight._version() == version);
  backward(y.sum());
  CHECK(x.grad().equal(at::mm(at::ones({2, 4}, x.options()), kept.t())));
}

TEST_CASE("freeing twice and freeing nothing are harmless") {
  auto const tensor = at::ones({3}, float64);
  free_storage(tensor);
  free_storage(tensor);
  CHECK(storage_is_free(tensor));
  restore_storage(tensor);
  CHECK(tensor.fill_(2).sum().item<double>() == 6);

  auto const empty = at::ones({0, 5});
  free_storage(empty);
  CHECK_FALSE(storage_is_free(empty));  // there was nothing to free
  restore_storage(empty);
  CHECK(empty.sum().item<double>() == 0);
}

TEST_CASE("refilled memory is that of the values, or a copy where they lie in another way") {
  auto const values = at::arange(24.0).view({4, 6});
  auto const tensor = at::zeros({4, 6});
  auto const view = tensor.select(0, 2);
  auto const version = tensor._version();
  free_storage(tensor);
  auto fresh = values.clone();
  auto const* memory = fresh.const_data_ptr();
  refill_storage(tensor, std::move(fresh));
  CHECK(tensor.equal(values));
  CHECK(view.equal(values[2]));
  CHECK(tensor.const_data_ptr() == memory);
  free_storage(tensor);
  refill_storage(tensor, values.t().contiguous().t());
  CHECK(tensor.equal(values));
  free_storage(tensor);
  refill_storage(tensor, at::cat({values, values}).narrow(0, 4, 4));
  CHECK(tensor.equal(values));
  CHECK(tensor._version() == version);
}
