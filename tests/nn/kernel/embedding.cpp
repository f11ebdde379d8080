// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/embedding.hpp"

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor ours(std::vector<Tensor> const& a) { return kernel::embedding(a[0], a[1]); }
Tensor plain(std::vector<Tensor> const& a) { return at::embedding(a[0], a[1]); }

Tensor tokens_of(at::IntArrayRef shape, std::int64_t vocab) {
  return at::randint(vocab, shape, at::make_generator<at::CPUGeneratorImpl>(3), at::TensorOptions().dtype(int64));
}

/// The gradient written out: places in their order.
template <class T>
Tensor by_hand(Tensor const& upstream, Tensor const& tokens, std::int64_t vocab) {
  auto const gradient = at::zeros({vocab, upstream.size(-1)}, upstream.options());
  auto const rows = upstream.reshape({-1, upstream.size(-1)}).contiguous();
  auto const flat = tokens.reshape({-1}).contiguous();
  auto to = gradient.accessor<T, 2>();
  auto const from = rows.accessor<T, 2>();
  for (std::int64_t t = 0; t < flat.numel(); ++t) {
    auto const row = flat[t].item<std::int64_t>();
    for (std::int64_t i = 0; i < rows.size(1); ++i) to[row][i] = to[row][i] + from[t][i];
  }
  return gradient;
}

}  // namespace

TEST_CASE("rows are the table's, and gradients those of the loop, bit for bit") {
  for (std::int64_t const vocab : {1, 7, 500}) {
    auto const table = draw({vocab, 33}), tokens = tokens_of({3, 40}, vocab), upstream = draw({3, 40, 33}, 1, 2);
    for (auto const dtype : {float32, float64}) {
      auto const found = value_and_gradients(ours, {table, tokens}, upstream, dtype);
      auto const expected = value_and_gradients(plain, {table, tokens}, upstream, dtype);
      CHECK(found[0].equal(expected[0]));
      CHECK(found[1].equal(dtype == float32 ? by_hand<float>(upstream.to(float32), tokens, vocab)
                                            : by_hand<double>(upstream, tokens, vocab)));
      CHECK(relative_error(found[1], expected[1]) <= 1e-6);
    }
  }
}

TEST_CASE("a table of 128 thousand rows has a gradient in the rows of its tokens alone") {
  auto const tokens = tokens_of({2, 64}, 131072);
  auto const upstream = draw({2, 64, 8}, 1, 2).to(float32);
  auto const found = value_and_gradients(ours, {draw({131072, 8}), tokens}, upstream, float32)[1];
  CHECK(found.equal(by_hand<float>(upstream, tokens, 131072)));
  CHECK(found.ne(0).any(1).sum().item<std::int64_t>() == std::get<0>(at::_unique(tokens)).numel());
}

TEST_CASE("the same bits for any number of threads") {
  same_bits_for_any_threads(ours, {draw({5000, 40}), tokens_of({4, 200}, 50)}, draw({4, 200, 40}, 1, 2), float32);
}

TEST_CASE("gradients that are cut out of others, no tokens, and tables that want no gradient") {
  auto const table = draw({10, 4}).to(float32).requires_grad_();
  auto const tokens = tokens_of({3, 8}, 10).t();  // not contiguous
  auto const upstream = draw({4, 8, 3}).to(float32).permute({1, 2, 0});
  kernel::embedding(table, tokens).backward(upstream);
  CHECK(table.grad().equal(by_hand<float>(upstream, tokens, 10)));
  table.mutable_grad().reset();
  auto const none = kernel::embedding(table, at::empty({2, 0}, int64));
  CHECK(none.sizes() == at::IntArrayRef({2, 0, 4}));
  none.sum().backward();
  CHECK(table.grad().eq(0).all().item<bool>());
  CHECK_FALSE(kernel::embedding(table.detach(), tokens).requires_grad());
}

TEST_CASE("other dtypes go through ATen") {
  auto const table = draw({10, 4}).to(bfloat16), tokens = tokens_of({5}, 10);
  CHECK(kernel::embedding(table, tokens).equal(at::embedding(table, tokens)));
}

TEST_CASE("tokens that the table does not have, and tensors of other kinds") {
  auto const table = at::zeros({10, 4});
  CHECK_THROWS_WITH_AS(kernel::embedding(table, at::full({2, 3}, 10, int64)), "embedding: expected tokens in [0, 10), found 10",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(kernel::embedding(table, at::full({2}, -1, int64)), "embedding: expected tokens in [0, 10), found -1",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(kernel::embedding(table, at::zeros({2})),
                       "embedding: expected a table [V, D] and tokens of int64, found [10, 4] and [2] of Float", ShapeError);
  CHECK_THROWS_AS(kernel::embedding(at::zeros({10}), at::zeros({2}, int64)), ShapeError);
}
