// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/loss.hpp"

#include <cmath>

#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr int vocab = 7;

Tensor labels() { return at::tensor({3, 0, -100, 6, 6, -100, 1, 2}, int64).view({2, 4}); }

/// The sum of -log softmax, by a loop in double.
double naive(Tensor const& logits, Tensor const& labels) {
  auto const rows = logits.detach().to(float64).reshape({-1, vocab}).contiguous();
  auto const flat = labels.flatten();
  double sum = 0;
  for (std::int64_t r = 0; r < rows.size(0); ++r) {
    auto const label = flat[r].item<std::int64_t>();
    if (label == ignored_label) continue;
    auto const x = rows.accessor<double, 2>()[r];
    double largest = x[0], total = 0;
    for (int v = 0; v < vocab; ++v) largest = std::max(largest, x[v]);
    for (int v = 0; v < vocab; ++v) total += std::exp(x[v] - largest);
    sum += largest + std::log(total) - x[label];
  }
  return sum;
}

}  // namespace

TEST_CASE("the loss is the sum over valid labels, by a loop in double") {
  auto const logits = alone::normal({2, 4, vocab}, 1, 3);
  CHECK(cross_entropy_sum(logits, labels()).item<double>() == doctest::Approx(naive(logits, labels())).epsilon(1e-14));
  auto const single = cross_entropy_sum(logits.to(float32), labels());
  CHECK((single.scalar_type() == float32));
  CHECK(single.item<double>() == doctest::Approx(naive(logits, labels())).epsilon(1e-6));
  CHECK(valid_labels(labels()) == 6);
}

TEST_CASE("its gradient is that of finite differences, zero where the label is ignored") {
  std::map<std::string, Tensor> leaves{{"logits", alone::normal({2, 4, vocab}, 1, 3).requires_grad_()}};
  alone::check_gradients([&] { return cross_entropy_sum(leaves["logits"], labels()); }, leaves);
  auto const exact = leaves["logits"].grad();
  CHECK(exact[0][2].abs().max().item<double>() == 0);
  CHECK(exact[1][1].abs().max().item<double>() == 0);
  CHECK(exact.sum(-1).abs().max().item<double>() <= 1e-14);  // softmax minus one-hot

  auto const single = alone::normal({2, 4, vocab}, 1, 3).to(float32).requires_grad_();
  backward(cross_entropy_sum(single, labels()));
  CHECK(alone::relative(single.grad(), exact) <= 1e-6);
}

TEST_CASE("bfloat16 logits are summed in float32") {
  auto const narrow = alone::normal({64, vocab}, 1, 3).to(bfloat16);
  auto const targets = at::arange(64, at::TensorOptions().dtype(int64)) % vocab;
  auto const loss = cross_entropy_sum(narrow, targets);
  CHECK((loss.scalar_type() == float32));
  CHECK(loss.item<double>() == doctest::Approx(naive(narrow, targets)).epsilon(1e-6));
}

TEST_CASE("a constant added to a row changes nothing, however large") {
  auto const logits = alone::normal({2, 4, vocab}, 1);
  auto const shifted = logits + 1000;
  CHECK(cross_entropy_sum(shifted, labels()).item<double>() ==
        doctest::Approx(cross_entropy_sum(logits, labels()).item<double>()).epsilon(1e-10));
  auto const single = cross_entropy_sum(shifted.to(float32), labels());
  CHECK(single.isfinite().item<bool>());
}

TEST_CASE("no valid label: the loss is 0 and so are the gradients") {
  for (auto const dtype : {float32, float64, bfloat16}) {
    auto const logits = alone::normal({2, 4, vocab}, 1).to(dtype).requires_grad_();
    auto const none = at::full({2, 4}, ignored_label, at::TensorOptions().dtype(int64));
    auto const loss = cross_entropy_sum(logits, none);
    CHECK(loss.item<double>() == 0);
    CHECK(valid_labels(none) == 0);
    backward(loss);
    CHECK(logits.grad().equal(at::zeros_like(logits)));
  }
}

TEST_CASE("a label that is no token is refused") {
  auto const logits = alone::normal({1, vocab}, 1);
  CHECK_THROWS(cross_entropy_sum(logits, at::tensor({vocab}, int64)));
  CHECK_THROWS(cross_entropy_sum(logits, at::tensor({-1}, int64)));
  CHECK_THROWS(cross_entropy_sum(logits, at::tensor({1, 2}, int64)));
}
