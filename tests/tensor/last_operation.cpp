// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/last_operation.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"

using namespace lierne;

static_assert(!std::is_copy_constructible_v<LastOperation>);

namespace {

/// Doubles, and looks at a number on the way back.
struct LooksBackward : Function<LooksBackward> {
  static Tensor forward(AutogradContext*, Tensor const& x) { return x * 2; }
  static TensorList backward(AutogradContext*, TensorList const& gradients) {
    if (gradients[0].numel() != 1 || gradients[0].item<double>() == 7) throw std::runtime_error("found a seven");
    return {gradients[0] * 2};
  }
};

}  // namespace

TEST_CASE("the last operator is the one that the code called, not one that it called in turn") {
  auto const x = at::ones({3});
  LastOperation const last;
  CHECK(last.name().empty());
  static_cast<void>(x + 1);
  CHECK(last.name() == "aten::add");
  static_cast<void>(x.sum().item<double>());
  CHECK(last.name() == "aten::item");
  static_cast<void>(x.to(float64));
  CHECK(last.name() == "aten::to");
}

TEST_CASE("where an exception was thrown stays to be seen, also in a backward pass") {
  LastOperation const last;
  CHECK_THROWS(at::mm(at::ones({2, 3}), at::ones({2, 3})));
  CHECK(last.name() == "aten::mm");
  auto const x = at::ones({1}).requires_grad_();
  auto const loss = (LooksBackward::apply(x) * 7).sum();
  CHECK_THROWS_WITH(backward(loss), "found a seven");
  CHECK(last.name() == "aten::item");
}

TEST_CASE("nothing is followed behind its life, and the next one begins anew") {
  {
    LastOperation const last;
    static_cast<void>(at::ones({3}));
    CHECK(last.name() == "aten::ones");
  }
  static_cast<void>(at::zeros({3}));
  LastOperation const last;
  CHECK(last.name().empty());
}
