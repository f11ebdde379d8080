// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/function.hpp"

#include <doctest/doctest.h>

#include <array>

#include "lierne/tensor/autograd.hpp"

using namespace lierne;

namespace {

/// a·x + b·y with numbers between the tensors, saving inputs and a number.
struct Weighted : Function<Weighted> {
  static Tensor forward(AutogradContext* context, Tensor const& x, double a, Tensor const& y, double b) {
    context->save_for_backward({x, y});
    context->saved_data["a"] = a;
    context->saved_data["b"] = b;
    return a * x + b * y;
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    auto& data = context->saved_data;
    wanted = {context->needs_input_grad(0), context->needs_input_grad(1)};
    return {data["a"].toDouble() * gradient[0], {}, data["b"].toDouble() * gradient[0], {}};
  }
  static inline std::array<bool, 2> wanted{};
};

/// exp, saving its own result.
struct Exp : Function<Exp> {
  static Tensor forward(AutogradContext* context, Tensor const& x) {
    auto y = x.exp();
    context->save_for_backward({y});
    return y;
  }
  static TensorList backward(AutogradContext* context, TensorList gradient) {
    return {context->get_saved_variables()[0] * gradient[0]};
  }
};

/// A list in, a list out: each tensor doubled, and a count that has no gradient.
struct DoubleAll : Function<DoubleAll> {
  static TensorList forward(AutogradContext* context, at::TensorList all, bool materialize) {
    context->set_materialize_grads(materialize);
    TensorList result;
    for (auto const& one : all) result.push_back(2 * one);
    result.push_back(at::full({}, static_cast<std::int64_t>(all.size()), int64));
    return result;
  }
  static TensorList backward(AutogradContext*, TensorList gradients) {
    arrived.clear();
    TensorList result;
    for (std::size_t i = 0; i + 1 < gradients.size(); ++i) {
      arrived.push_back(gradients[i].defined());
      result.push_back(gradients[i].defined() ? 2 * gradients[i] : Tensor());
    }
    result.emplace_back();
    return result;
  }
  static inline std::vector<bool> arrived;
};

struct Identity : Function<Identity> {
  static Tensor forward(AutogradContext*, Tensor const& x) { return x; }
  static TensorList backward(AutogradContext*, TensorList gradient) { return {3 * gradient[0]}; }
};

template <int count, bool for_number>
struct Wrong : Function<Wrong<count, for_number>> {
  static Tensor forward(AutogradContext*, Tensor const& x, double) { return 2 * x; }
  static TensorList backward(AutogradContext*, TensorList gradient) {
    TensorList result(count);
    if (for_number) result[1] = gradient[0];
    return result;
  }
};

}  // namespace

TEST_CASE("gradients go to the tensors among the arguments, as in the composed expression") {
  auto const options = at::TensorOptions().dtype(float64);
  auto const values = at::linspace(-1, 1, 7, options), upstream = at::linspace(1, 2, 7, options);
  auto const x = values.clone().requires_grad_(), y = values.flip(0).clone().requires_grad_();
  auto const p = values.clone().requires_grad_(), q = values.flip(0).clone().requires_grad_();
  backward((Exp::apply(Weighted::apply(x, 2.0, y, -3.0)) * upstream).sum());
  backward(((2.0 * p - 3.0 * q).exp() * upstream).sum());
  CHECK(at::allclose(x.grad(), p.grad(), 1e-14, 0));
  CHECK(at::allclose(y.grad(), q.grad(), 1e-14, 0));
}

TEST_CASE("the context knows which gradients are wanted") {
  auto const x = at::ones({2}).requires_grad_(), fixed = at::ones({2});
  backward(Weighted::apply(fixed, 2.0, x, 5.0).sum());
  CHECK(Weighted::wanted == std::array{false, true});
  CHECK_FALSE(fixed.grad().defined());
  CHECK(x.grad().equal(at::full({2}, 5.0F)));
}

TEST_CASE("lists count each of their tensors; gradients that did not arrive are zeros unless refused") {
  for (bool const materialize : {true, false}) {
    auto const a = at::ones({2}).requires_grad_(), b = at::ones({3}).requires_grad_();
    TensorList const list{a, b};
    auto const doubled = DoubleAll::apply(at::TensorList{list}, materialize);
    REQUIRE(doubled.size() == 3);
    CHECK(doubled[1].requires_grad());
    CHECK_FALSE(doubled[2].requires_grad());
    backward(doubled[0].sum());
    CHECK(DoubleAll::arrived == std::vector<bool>{true, materialize});
    CHECK(a.grad().equal(at::full({2}, 2.0F)));
    CHECK(b.grad().defined() == materialize);
    if (materialize) CHECK(b.grad().equal(at::zeros({3})));
  }
}

TEST_CASE("an argument that is returned as it is keeps its own place in the graph") {
  auto const x = at::ones({2}).requires_grad_();
  auto const y = Identity::apply(x);
  CHECK(x.is_leaf());
  CHECK(y.data_ptr() == x.data_ptr());
  backward(y.sum());
  CHECK(x.grad().equal(at::full({2}, 3.0F)));
}

TEST_CASE("outside a graph nothing is recorded") {
  auto const x = at::ones({2});
  CHECK_FALSE(Exp::apply(x).requires_grad());
  auto const leaf = at::ones({2}).requires_grad_();
  NoGrad guard;
  CHECK_FALSE(Exp::apply(leaf).requires_grad());
}

TEST_CASE("saved tensors do not outlive the graph") {
  auto x = at::ones({2}).requires_grad_();
  auto y = Weighted::apply(x, 1.0, x, 1.0);
  auto const uses = x.use_count();
  backward(y.sum());
  CHECK(x.use_count() < uses);  // released by the backward pass
  auto z = Exp::apply(x);
  c10::weak_intrusive_ptr<c10::TensorImpl> const result(z.getIntrusivePtr());
  z = Tensor();
  CHECK(result.expired());  // a function that saves its own result makes no cycle
}

TEST_CASE("a second backward pass runs over a retained graph and is refused over a freed one") {
  auto const x = at::ones({2}).requires_grad_();
  auto const y = Exp::apply(x).sum();
  y.backward({}, true);
  y.backward();
  CHECK(at::allclose(x.grad(), 2 * at::ones({2}).exp()));
  CHECK_THROWS_WITH(y.backward(), doctest::Contains("second time"));
}

TEST_CASE("a wrong number of gradients, or one for a number, is refused") {
  auto const x = at::ones({2}).requires_grad_();
  CHECK_THROWS_WITH(backward(Wrong<1, false>::apply(x, 1.0).sum()), doctest::Contains("expected 2, got 1"));
  CHECK_THROWS_WITH(backward(Wrong<2, true>::apply(x, 1.0).sum()), doctest::Contains("position 2"));
}
