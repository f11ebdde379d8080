// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/largest_logit.hpp"

#include "nn/kernel/against.hpp"

using namespace lierne;
using testing::draw;

namespace {

double by_loops(Tensor const& q, Tensor const& k) {
  auto const q64 = q.to(float64).contiguous(), k64 = k.to(float64).contiguous();
  auto const a = q64.accessor<double, 4>(), b = k64.accessor<double, 4>();
  auto const shared = q.size(2) / k.size(2);
  double largest = -std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < q.size(0); ++i) {
    for (std::int64_t n = 0; n < q.size(2); ++n) {
      for (std::int64_t l = 0; l < q.size(1); ++l) {
        for (std::int64_t s = 0; s <= l; ++s) {
          double score = 0;
          for (std::int64_t h = 0; h < q.size(3); ++h) score += a[i][l][n][h] * b[i][s][n / shared][h];
          largest = std::max(largest, score / std::sqrt(static_cast<double>(q.size(3))));
        }
      }
    }
  }
  return largest;
}

}  // namespace

TEST_CASE("the largest logit is that of loops in double over what causal attention sees") {
  for (auto const& [heads, keys] : {std::pair{4, 4}, {6, 2}, {5, 1}}) {
    for (std::int64_t const length : {1, 2, 37}) {
      CAPTURE(length);
      auto const q = draw({2, length, heads, 8}, 1.0, 1), k = draw({2, length, keys, 8}, 1.0, 2);
      CHECK(kernel::largest_causal_logit(q, k).item<double>() == doctest::Approx(by_loops(q, k)).epsilon(1e-14));
      auto const q16 = q.to(bfloat16), k16 = k.to(bfloat16);
      CHECK(kernel::largest_causal_logit(q16, k16).item<double>() == doctest::Approx(by_loops(q16, k16)).epsilon(1e-6));
      auto const q32 = q.to(float32), k32 = k.to(float32);
      CHECK(kernel::largest_causal_logit(q32, k32).item<double>() == doctest::Approx(by_loops(q32, k32)).epsilon(1e-6));
    }
  }
}

TEST_CASE("long sequences go in several pieces, of which each is looked at") {
  // 64 heads of 600 tokens: about a hundred rows at a time.
  auto const q = draw({1, 600, 64, 2}, 0.01, 1).to(float32), k = draw({1, 600, 16, 2}, 0.01, 2).to(float32);
  using Place = std::tuple<int, int, int>;
  for (auto const& [query, key, head] : {Place{0, 0, 3}, {108, 107, 0}, {109, 109, 63}, {599, 0, 31}, {599, 599, 5}}) {
    auto other = q.clone(), keys = k.clone();
    other[0][query][head].fill_(100);
    keys[0][key][head / 4].fill_(1);
    auto const largest = kernel::largest_causal_logit(other, keys).item<double>();
    CHECK(largest == doctest::Approx(200 / std::sqrt(2.0)).epsilon(1e-6));
  }
}

TEST_CASE("a key behind its query is not looked at") {
  auto q = at::zeros({1, 40, 2, 4}), k = at::zeros({1, 40, 2, 4});
  q[0][20].fill_(3);
  k[0][21].fill_(5);
  CHECK(kernel::largest_causal_logit(q, k).item<double>() == 0);
  k[0][20].fill_(5);
  CHECK(kernel::largest_causal_logit(q, k).item<double>() == 30);
  CHECK(kernel::largest_causal_logit(-q - 1, k + 1).item<double>() < 0);  // signed: no magnitude
}

TEST_CASE("an undefined logit is shown and no elements have no largest") {
  auto q = draw({1, 9, 2, 4}), k = draw({1, 9, 2, 4}, 1.0, 2);
  q[0][4][1][2] = std::nan("");
  CHECK(std::isnan(kernel::largest_causal_logit(q, k).item<double>()));
  CHECK(kernel::largest_causal_logit(q.narrow(1, 0, 0), k.narrow(1, 0, 0)).item<double>() ==
        -std::numeric_limits<double>::infinity());
}

TEST_CASE("heads that do not fit are refused") {
  CHECK_THROWS_WITH_AS(kernel::largest_causal_logit(at::zeros({1, 4, 3, 2}), at::zeros({1, 4, 2, 2})),
                       doctest::Contains("with N a multiple of K, found [1, 4, 3, 2] and [1, 4, 2, 2]"), ShapeError);
}
