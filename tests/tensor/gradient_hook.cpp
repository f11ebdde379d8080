// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/gradient_hook.hpp"

#include <doctest/doctest.h>

#include "lierne/tensor/autograd.hpp"

using namespace lierne;

static_assert(!std::is_copy_constructible_v<GradientHook>);

TEST_CASE("the call comes once in a pass with the whole gradient of a leaf that is used twice") {
  auto const leaf = at::full({2}, 3.0).requires_grad_();
  int calls = 0;
  Tensor seen;
  GradientHook const hook(leaf, [&] { ++calls, seen = leaf.grad().clone(); });
  backward((leaf * leaf + 5 * leaf).sum());
  CHECK(calls == 1);
  CHECK(seen.equal(at::full({2}, 11.0)));
  backward(leaf.sum());
  CHECK(calls == 2);
  CHECK(seen.equal(at::full({2}, 12.0)));  // gradients add up, as ever
}

TEST_CASE("the call may release the gradient and change the leaf") {
  auto const leaf = at::ones({2}).requires_grad_();
  GradientHook const hook(leaf, [&] {
    NoGrad const no_grad;
    leaf.sub_(0.5 * leaf.grad());
    leaf.mutable_grad().reset();
  });
  backward((leaf * leaf).sum());
  CHECK_FALSE(leaf.grad().defined());
  CHECK(leaf.detach().equal(at::zeros({2})));
}

TEST_CASE("no call when the hook is gone or the pass does not reach the leaf") {
  auto const leaf = at::ones({2}).requires_grad_(), other = at::ones({2}).requires_grad_();
  int calls = 0;
  {
    GradientHook const hook(leaf, [&] { ++calls; });
    backward(other.sum());
  }
  backward(leaf.sum());
  CHECK(calls == 0);
}

TEST_CASE("what the call throws comes out of backward") {
  auto const leaf = at::ones({2}).requires_grad_();
  GradientHook const hook(leaf, [] { throw NumericError("too large"); });
  CHECK_THROWS_AS(backward(leaf.sum()), NumericError);
}

TEST_CASE("a tensor that cannot have a call is an error") {
  auto const leaf = at::ones({2}).requires_grad_();
  auto const refuses = [](Tensor const& tensor, char const* words) {
    CHECK_THROWS_WITH_AS(GradientHook(tensor, [] {}), doctest::Contains(words), ArgumentError);
  };
  refuses({}, "expected a leaf that requires a gradient");
  refuses(at::ones({2}), "expected a leaf that requires a gradient");
  refuses(leaf * 2, "expected a leaf that requires a gradient");
  GradientHook const hook(leaf, [] {});
  refuses(leaf, "found one that has it");
}
