// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/storage.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

/// x² with a gradient written by hand.
struct Square : Function<Square> {
  static Tensor forward(AutogradContext* context, Tensor const& x) {
    context->save_for_backward({x});
    return x * x;
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    return {2 * context->get_saved_variables()[0] * gradient[0]};
  }
};

}  // namespace

TEST_CASE("a function written by hand has the gradient of the composed one") {
  auto const values = at::linspace(-2, 2, 9, float64);
  auto const x = values.clone().requires_grad_(), y = values.clone().requires_grad_();
  backward((Square::apply(x) * values).sum());
  backward((y * y * values).sum());
  CHECK(x.grad().equal(y.grad()));
  CHECK(x.grad().equal(2 * values * values));
}

TEST_CASE("backward adds to the gradients of all leaves that want one") {
  auto const a = at::ones({3}).requires_grad_(), b = at::ones({3}).requires_grad_(), fixed = at::ones({3});
  backward((a * 2 + b * fixed).sum());
  backward((a * 2).sum());
  CHECK(a.grad().equal(at::full({3}, 4.0)));
  CHECK(b.grad().equal(at::ones({3})));
  CHECK_FALSE(fixed.grad().defined());
}

TEST_CASE("a leaf is in a graph as long as somebody holds what was made of it") {
  auto const x = at::ones({3}).requires_grad_();
  CHECK_FALSE(in_a_graph(x));
  CHECK_FALSE(in_a_graph(at::ones({3})));
  {
    auto const loss = (x * 2).sum();
    CHECK(in_a_graph(x));
    backward(loss);
    CHECK(in_a_graph(x));
  }
  CHECK_FALSE(in_a_graph(x));
}

TEST_CASE("no graph is recorded under NoGrad") {
  auto const x = at::ones({3}).requires_grad_();
  {
    NoGrad guard;
    CHECK_FALSE((x * 2).requires_grad());
    CHECK_FALSE(Square::apply(x).requires_grad());
  }
  CHECK((x * 2).requires_grad());
}

TEST_CASE("below autograd the version counter stands still") {
  auto const x = at::ones({3});
  auto const fresh = x._version();
  x.add_(1);
  auto const version = x._version();
  CHECK(version == fresh + 1);
  {
    BelowAutograd guard;
    x.add_(1);
  }
  CHECK(x._version() == version);
  CHECK(x.equal(at::full({3}, 3.0)));
}

TEST_CASE("a saved tensor that was changed in place is refused") {
  auto const x = at::ones({3}).requires_grad_();
  auto const middle = x * 1;
  auto const y = Square::apply(middle);
  {
    NoGrad guard;
    middle.add_(1);
  }
  CHECK_THROWS_WITH(backward(y.sum()), doctest::Contains("modified by an inplace operation"));
}
