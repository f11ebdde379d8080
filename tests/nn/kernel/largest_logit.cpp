// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/largest_logit.hpp"

#include "nn/kernel/against.hpp"

using namespace lierne;
using testing::draw;

namespace {

// Under no mask and with the usual scale.
Tensor largest_of(Tensor const& q, Tensor const& k) {
  return kernel::largest_logit(q, k, {}, 1 / std::sqrt(static_cast<double>(q.size(3))));
}

double by_loops(Tensor const& q, Tensor const& k, kernel::VisibleKeys const& visible = {}, double scale = 0) {
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
          if (visible.first.defined() && s < visible.first[visible.first.size(0) == 1 ? 0 : i][l].item<std::int64_t>()) continue;
          if (visible.block > 0 && s / visible.block != l / visible.block) continue;
          largest = std::max(largest, score * (scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(q.size(3)))));
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
      CHECK(largest_of(q, k).item<double>() == doctest::Approx(by_loops(q, k)).epsilon(1e-14));
      auto const q16 = q.to(bfloat16), k16 = k.to(bfloat16);
      CHECK(largest_of(q16, k16).item<double>() == doctest::Approx(by_loops(q16, k16)).epsilon(1e-6));
      auto const q32 = q.to(float32), k32 = k.to(float32);
      CHECK(largest_of(q32, k32).item<double>() == doctest::Approx(by_loops(q32, k32)).epsilon(1e-6));
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
    auto const largest = largest_of(other, keys).item<double>();
    CHECK(largest == doctest::Approx(200 / std::sqrt(2.0)).epsilon(1e-6));
  }
}

TEST_CASE("a key behind its query is not looked at") {
  auto q = at::zeros({1, 40, 2, 4}), k = at::zeros({1, 40, 2, 4});
  q[0][20].fill_(3);
  k[0][21].fill_(5);
  CHECK(largest_of(q, k).item<double>() == 0);
  k[0][20].fill_(5);
  CHECK(largest_of(q, k).item<double>() == 30);
  CHECK(largest_of(-q - 1, k + 1).item<double>() < 0);  // signed: no magnitude
}

TEST_CASE("only what the mask lets be seen is looked at, times the scale") {
  auto const q = draw({2, 37, 6, 8}, 1.0, 1), k = draw({2, 37, 2, 8}, 1.0, 2);
  auto const position = at::arange(37, int64).unsqueeze(0);
  auto const all = by_loops(q, k, {}, 0.3);
  for (auto const& visible : std::vector<kernel::VisibleKeys>{{.block = 5},
                                                              {.first = (position - 1).clamp_min(0)},
                                                              {.first = at::cat({position, position - position % 3}), .block = 4}}) {
    auto const expected = by_loops(q, k, visible, 0.3);
    CHECK(expected < all);
    CHECK(kernel::largest_logit(q, k, visible, 0.3).item<double>() == doctest::Approx(expected).epsilon(1e-14));
  }
}

TEST_CASE("an undefined logit is shown and no elements have no largest") {
  auto q = draw({1, 9, 2, 4}), k = draw({1, 9, 2, 4}, 1.0, 2);
  q[0][4][1][2] = std::nan("");
  CHECK(std::isnan(largest_of(q, k).item<double>()));
  CHECK(largest_of(q.narrow(1, 0, 0), k.narrow(1, 0, 0)).item<double>() ==
        -std::numeric_limits<double>::infinity());
}

TEST_CASE("heads that do not fit are refused") {
  CHECK_THROWS_WITH_AS(largest_of(at::zeros({1, 4, 3, 2}), at::zeros({1, 4, 2, 2})),
                       doctest::Contains("with N a multiple of K, found [1, 4, 3, 2] and [1, 4, 2, 2]"), ShapeError);
}
