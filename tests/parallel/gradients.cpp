// SPDX-License-Identifier: Apache-2.0
#include "lierne/parallel/gradients.hpp"

#include "processes.hpp"

using namespace lierne;

namespace {

/// A parameter whose gradient is `value` everywhere; none where it is negative.
Parameter with_gradient(int tensor_dim, double value) {
  Parameter p{.shape = {4, 2}, .tensor_dim = tensor_dim, .name = "p"};
  p.owned = at::zeros({4, 2}).requires_grad_();
  if (value >= 0) p.owned.mutable_grad() = at::full({4, 2}, value);
  return p;
}

}  // namespace

TEST_CASE("one process's gradients are left as they are") {
  Mesh const mesh;
  auto p = with_gradient(Parameter::whole, 3);
  sum_gradients({&p}, mesh);
  CHECK(p.owned.grad().equal(at::full({4, 2}, 3.0)));
  CHECK(counted(p, mesh));
}

TEST_CASE("rank: sums over the tensor axis" * doctest::skip()) {
  Mesh const mesh = join(Plan{.tensor = 2}, Launch::from_environment());
  auto whole = with_gradient(Parameter::whole, 1 + mesh.rank());
  auto other = with_gradient(Parameter::whole, 10);
  auto cut = with_gradient(0, 1 + mesh.rank());
  auto absent = with_gradient(Parameter::whole, -1);
  sum_gradients({&whole, &cut, &absent, &other}, mesh);
  CHECK(whole.owned.grad().equal(at::full({4, 2}, 3.0)));
  CHECK(other.owned.grad().equal(at::full({4, 2}, 20.0)));
  CHECK(cut.owned.grad().equal(at::full({4, 2}, 1.0 + mesh.rank())));
  CHECK_FALSE(absent.owned.grad().defined());
  // Over both ranks each element is counted once.
  CHECK(counted(cut, mesh));
  CHECK(counted(whole, mesh) == (mesh.rank() == 0));
}

TEST_CASE("rank: sums over the replicate axis" * doctest::skip()) {
  Mesh const mesh = join(Plan{.replicate = rest}, Launch::from_environment());
  auto whole = with_gradient(Parameter::whole, 1 + mesh.rank());
  auto cut = with_gradient(0, 1 + mesh.rank());
  sum_gradients({&whole, &cut}, mesh);
  CHECK(whole.owned.grad().equal(at::full({4, 2}, 3.0)));
  CHECK(cut.owned.grad().equal(at::full({4, 2}, 3.0)));
  CHECK(counted(cut, mesh) == (mesh.rank() == 0));
}

TEST_CASE("gradients are summed over the axes that hold a parameter whole") {
  SUBCASE("tensor") { processes::run("rank: sums over the tensor axis", 2); }
  SUBCASE("replicate") { processes::run("rank: sums over the replicate axis", 2); }
}
