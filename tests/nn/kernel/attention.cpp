// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/attention.hpp"

#include "against.hpp"

#include <cmath>

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor fused(std::vector<Tensor> const& a) { return kernel::causal_attention(a[0], a[1], a[2]); }

// Scores of all pairs, the later keys masked, in the arguments' dtype.
Tensor plain(std::vector<Tensor> const& a) {
  auto const group = a[0].size(2) / a[1].size(2), length = a[0].size(1);
  auto const q = a[0].transpose(1, 2), k = a[1].repeat_interleave(group, 2).transpose(1, 2),
             v = a[2].repeat_interleave(group, 2).transpose(1, 2);
  auto const score = at::matmul(q, k.transpose(-1, -2)) / std::sqrt(static_cast<double>(a[0].size(3)));
  auto const later = at::ones({length, length}, at::TensorOptions().dtype(at::kBool)).triu(1);
  return at::matmul(score.masked_fill(later, -INFINITY).softmax(-1), v).transpose(1, 2);
}

std::vector<Tensor> arguments(std::int64_t batch, std::int64_t length, std::int64_t heads, std::int64_t keys, std::int64_t size) {
  return {draw({batch, length, heads, size}, 1.5, 1), draw({batch, length, keys, size}, 1.5, 2),
          draw({batch, length, keys, size}, 1, 3)};
}

}  // namespace

TEST_CASE("LibTorch's BLAS is in sight, so that these tests see the fused pass") { CHECK(sgemm_ != nullptr); }

TEST_CASE("causal attention equals its formula, values and gradients") {
  struct Case { std::int64_t batch, length, heads, keys, size; };
  // Lengths of one tile, of less, and of several with a part; grouped, multi-query and plain heads.
  for (auto const& [batch, length, heads, keys, size] :
       std::vector<Case>{{2, 64, 4, 2, 8}, {2, 5, 3, 3, 4}, {3, 150, 4, 1, 16}, {1, 257, 2, 2, 64}, {4, 1, 2, 1, 8}}) {
    CAPTURE(length);
    against_float64(fused, plain, arguments(batch, length, heads, keys, size), draw({batch, length, heads, size}, 1, 4), 2e-6);
  }
}

TEST_CASE("causal attention has the same bits on any number of threads") {
  same_bits_for_any_threads(fused, arguments(2, 100, 4, 2, 16), draw({2, 100, 4, 16}, 1, 4), float32);
}

TEST_CASE("later tokens change nothing, and one visible key gives its value") {
  auto changed = arguments(2, 100, 4, 2, 16);
  for (auto& a : changed) a = a.to(float32);
  auto const before = fused(changed);
  CHECK(at::allclose(before.select(1, 0), changed[2].select(1, 0).repeat_interleave(2, 1), 1e-6, 1e-6));
  for (auto& a : changed) a = at::cat({a.narrow(1, 0, 70), a.narrow(1, 70, 30) + 1}, 1);
  CHECK(at::equal(fused(changed).narrow(1, 0, 70), before.narrow(1, 0, 70)));
}

TEST_CASE("large scores stay finite, strided arguments and gradients are taken") {
  auto large = arguments(2, 70, 2, 2, 8);
  for (auto& a : large) a = (a.to(float32) * 100).requires_grad_();
  auto const out = fused(large);
  out.sum().backward();
  for (auto const& a : large) CHECK(a.grad().isfinite().all().item<bool>());
  auto const a = arguments(2, 70, 2, 2, 8);
  std::vector<Tensor> strided, dense;
  for (auto const& t : a) {
    dense.push_back(t.to(float32));
    strided.push_back(t.to(float32).transpose(1, 2).contiguous().transpose(1, 2));
  }
  CHECK(at::equal(fused(strided), fused(dense)));
}

TEST_CASE("float64 goes through SDPA") {
  auto const a = arguments(2, 20, 4, 2, 8);
  CHECK(relative_error(fused(a), plain(a)) < 1e-14);
}

TEST_CASE("causal attention refuses heads that do not divide and unlike sizes") {
  CHECK_THROWS_WITH_AS(kernel::causal_attention(at::zeros({1, 2, 3, 4}), at::zeros({1, 2, 2, 4}), at::zeros({1, 2, 2, 4})),
                       "causal_attention: expected q [B, L, N, H], k and v [B, L, K, H] with N a multiple of K, found "
                       "[1, 2, 3, 4], [1, 2, 2, 4] and [1, 2, 2, 4]",
                       ShapeError);
  CHECK_THROWS_AS(kernel::causal_attention(at::zeros({1, 2, 2, 4}), at::zeros({1, 3, 2, 4}), at::zeros({1, 3, 2, 4})), ShapeError);
}
