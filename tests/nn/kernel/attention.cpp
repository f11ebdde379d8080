// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/attention.hpp"

#include "against.hpp"

#include <cmath>

using namespace lierne;
using namespace lierne::testing;
using kernel::VisibleKeys;

namespace {

// The definition, one pair at a time. Shape: [B or 1, L, L], true where seen.
Tensor table_by_loops(VisibleKeys const& visible, std::int64_t length) {
  auto const rows = visible.first.defined() ? visible.first.size(0) : 1;
  auto table = at::zeros({rows, length, length}, at::TensorOptions().dtype(at::kBool));
  for (std::int64_t b = 0; b < rows; ++b) {
    for (std::int64_t t = 0; t < length; ++t) {
      auto const first = visible.first.defined() ? visible.first[b][t].item<std::int64_t>() : 0;
      for (auto s = first; s <= t; ++s) {
        table.accessor<bool, 3>()[b][t][s] = visible.block == 0 || s / visible.block == t / visible.block;
      }
    }
  }
  return table;
}

Operation fused(VisibleKeys const& visible = {}, std::optional<double> scale = {}) {
  return [=](std::vector<Tensor> const& a) { return kernel::attention(a[0], a[1], a[2], visible, scale); };
}

// Scores of all pairs, those that are not seen masked, in the arguments' dtype.
Operation plain(VisibleKeys const& visible = {}, std::optional<double> scale = {}) {
  return [=](std::vector<Tensor> const& a) {
    auto const group = a[0].size(2) / a[1].size(2);
    auto const q = a[0].transpose(1, 2), k = a[1].repeat_interleave(group, 2).transpose(1, 2),
               v = a[2].repeat_interleave(group, 2).transpose(1, 2);
    auto const score = at::matmul(q, k.transpose(-1, -2)) * scale.value_or(1 / std::sqrt(static_cast<double>(q.size(3))));
    auto const hidden = table_by_loops(visible, a[0].size(1)).logical_not().unsqueeze(1);
    return at::matmul(score.masked_fill(hidden, -INFINITY).softmax(-1), v).transpose(1, 2);
  };
}

struct Size {
  std::int64_t batch, length, heads, keys, size;
};

std::vector<Tensor> arguments(Size const& s) {
  return {draw({s.batch, s.length, s.heads, s.size}, 1.5, 1), draw({s.batch, s.length, s.keys, s.size}, 1.5, 2),
          draw({s.batch, s.length, s.keys, s.size}, 1, 3)};
}
Tensor upstream(Size const& s) { return draw({s.batch, s.length, s.heads, s.size}, 1, 4); }

// Sequences cut at random into runs of `mean` on average: where each position's run begins.
Tensor starts(std::int64_t batch, std::int64_t length, double mean, std::uint64_t seed = 5) {
  auto const cuts = at::rand({batch, length}, at::make_generator<at::CPUGeneratorImpl>(seed)) < 1 / mean;
  auto first = at::zeros({batch, length}, at::TensorOptions().dtype(int64));
  for (std::int64_t b = 0; b < batch; ++b) {
    for (std::int64_t t = 1; t < length; ++t) first[b][t] = cuts[b][t].item<bool>() ? at::scalar_tensor(t, first.options()) : first[b][t - 1];
  }
  return first;
}

Tensor window(std::int64_t length, std::int64_t size) {
  return (at::arange(length, at::TensorOptions().dtype(int64)) - size + 1).clamp_min(0).unsqueeze(0);
}

std::vector<Tensor> in_float32(std::vector<Tensor> const& from) {
  std::vector<Tensor> to;
  for (auto const& t : from) to.push_back(t.to(float32));
  return to;
}

}  // namespace

TEST_CASE("LibTorch has block products, so that these tests see the fused pass") {
  CHECK(kernel::detail::has_block_products<float>());
}

TEST_CASE("causal attention equals its formula, values and gradients") {
  // Lengths of one tile, of less, and of several with a part; of one span and of several; grouped, multi-query and plain
  // heads, and more and fewer of them than threads.
  for (auto const& s : std::vector<Size>{
           {2, 64, 4, 2, 8}, {2, 5, 3, 3, 4}, {3, 150, 4, 1, 16}, {1, 257, 2, 2, 64}, {4, 1, 2, 1, 8}, {20, 70, 1, 1, 4}}) {
    CAPTURE(s.length);
    against_float64(fused(), plain(), arguments(s), upstream(s), 2e-6);
  }
}

TEST_CASE("masked attention equals its formula, values and gradients") {
  for (auto const& s : std::vector<Size>{{2, 150, 4, 2, 8}, {1, 391, 2, 1, 16}, {3, 33, 1, 1, 4}, {2, 1, 2, 2, 8}}) {
    CAPTURE(s.length);
    auto const documents = starts(s.batch, s.length, 30);
    for (auto const& visible : std::vector<VisibleKeys>{{.first = documents},
                                                        {.block = 16},
                                                        {.block = 37},
                                                        {.first = window(s.length, 40)},
                                                        {.first = documents, .block = 50},
                                                        {.first = at::maximum(documents, window(s.length, 20)), .block = 64}}) {
      CAPTURE(visible.block);
      against_float64(fused(visible), plain(visible), arguments(s), upstream(s), 2e-6);
    }
  }
}

TEST_CASE("a query that sees itself alone has its value, and gives it its gradient") {
  Size const s{2, 70, 4, 2, 16};
  auto const given = in_float32(arguments(s));
  for (auto const& visible : std::vector<VisibleKeys>{{.block = 1}, {.first = window(70, 1)}}) {
    auto const found = value_and_gradients(fused(visible), given, upstream(s), float32);
    CHECK(at::equal(found[0], given[2].repeat_interleave(2, 2)));
    CHECK(found[1].abs().max().item<double>() < 1e-5);
    CHECK(found[2].abs().max().item<double>() < 1e-5);
    CHECK(relative_error(found[3], upstream(s).unflatten(2, {2, 2}).sum(3)) < 1e-7);
  }
}

TEST_CASE("rows that see more than one chunk of keys, and rows whose first keys come and go") {
  Size const s{1, 1200, 2, 1, 8};
  against_float64(fused(), plain(), arguments(s), upstream(s), 4e-6);
  // Not from any text: a query may see more than the one before it, or less.
  auto const position = at::arange(s.length, at::TensorOptions().dtype(int64));
  VisibleKeys const jumping{.first = (position * 7919 % (position + 1)).unsqueeze(0)};
  against_float64(fused(jumping), plain(jumping), arguments(s), upstream(s), 4e-6);
}

TEST_CASE("the scale is 1/sqrt(H), or the one that is given") {
  Size const s{2, 70, 4, 2, 16};
  CHECK(at::equal(fused({}, 0.25)(in_float32(arguments(s))), fused()(in_float32(arguments(s)))));
  VisibleKeys const visible{.first = starts(2, 70, 20)};
  against_float64(fused(visible, 1.0 / 16), plain(visible, 1.0 / 16), arguments(s), upstream(s), 2e-6);
  against_float64(fused({}, 1.0 / 16), plain({}, 1.0 / 16), arguments(s), upstream(s), 2e-6);
}

TEST_CASE("NaN spoils the rows that see it, and no other") {
  Size const s{2, 70, 4, 2, 16};
  for (int which : {0, 1, 2}) {
    CAPTURE(which);
    auto all = in_float32(arguments(s));
    all[static_cast<std::size_t>(which)][0][40][0][3] = std::nan("");
    auto const found = fused()(all);
    auto const sees = at::zeros({2, 70, 4}, at::TensorOptions().dtype(at::kBool));
    sees[0].narrow(0, 40, which == 0 ? 1 : 30).narrow(1, 0, which == 0 ? 1 : 2).fill_(true);
    auto const spoilt = found.isnan().any(-1);
    CHECK((spoilt.logical_or(sees.logical_not())).all().item<bool>());
    // 0 times a NaN value is NaN, so rows of its tile that do not see it may show it too.
    if (which < 2) CHECK(at::equal(spoilt, sees));
  }
}

TEST_CASE("attention has the same bits on any number of threads") {
  for (auto const& s : std::vector<Size>{{2, 100, 4, 2, 16}, {1, 700, 1, 1, 8}, {1, 31, 1, 1, 8}}) {
    CAPTURE(s.length);
    for (auto const& visible : std::vector<VisibleKeys>{{}, {.block = 64}, {.first = starts(s.batch, s.length, 90)}}) {
      for (auto type : {float32, bfloat16}) same_bits_for_any_threads(fused(visible), arguments(s), upstream(s), type);
    }
  }
}

TEST_CASE("bfloat16 errs no more than SDPA in bfloat16") {
  // The definition rounds every score and probability; SDPA rounds probabilities alone, as the fused pass does.
  for (auto const& s : std::vector<Size>{{2, 150, 4, 2, 16}, {1, 600, 2, 1, 64}}) {
    for (auto const& visible : std::vector<VisibleKeys>{{}, {.first = starts(s.batch, s.length, 40)}}) {
      auto const sdpa = [&](std::vector<Tensor> const& a) {
        return kernel::detail::attention_by_sdpa(a[0], a[1], a[2], visible, 1 / std::sqrt(static_cast<double>(s.size)));
      };
      auto given = arguments(s);
      for (auto& t : given) t = t.to(bfloat16).to(float64);
      auto const exact = value_and_gradients(plain(visible), given, upstream(s).to(bfloat16).to(float64), float64);
      auto const peer = value_and_gradients(sdpa, given, upstream(s), bfloat16), found = value_and_gradients(fused(visible), given, upstream(s), bfloat16);
      for (std::size_t i = 0; i < exact.size(); ++i) {
        CAPTURE(i);
        CHECK(relative_error(found[i], exact[i]) <= 1.25 * relative_error(peer[i], exact[i]));
      }
    }
  }
}

TEST_CASE("a block as long as the sequence and a window that reaches its start are causal attention bit by bit") {
  Size const s{1, 300, 4, 2, 16};
  auto const causal = value_and_gradients(fused(), arguments(s), upstream(s), float32);
  for (auto const& visible : std::vector<VisibleKeys>{{.block = 300}, {.block = 4096}, {.first = window(300, 300)}}) {
    auto const found = value_and_gradients(fused(visible), arguments(s), upstream(s), float32);
    for (std::size_t i = 0; i < causal.size(); ++i) CHECK(at::equal(found[i], causal[i]));
  }
}

TEST_CASE("blocks are sequences of their own") {
  Size const s{2, 256, 4, 2, 16};
  auto const cut = [](std::vector<Tensor> all) {
    for (auto& t : all) t = t.unflatten(1, {4, 64}).flatten(0, 1).contiguous();
    return all;
  };
  auto const whole = value_and_gradients(fused({.block = 64}), arguments(s), upstream(s), float32);
  auto const alone = value_and_gradients(fused(), cut(arguments(s)), cut({upstream(s)})[0], float32);
  auto const by_blocks = cut(whole);
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(relative_error(by_blocks[i], alone[i]) < 1e-6);
}

TEST_CASE("what is not seen changes no bit, and one visible key gives its value") {
  Size const s{2, 100, 4, 2, 16};
  auto const before = in_float32(arguments(s));
  auto const out = fused()(before);
  CHECK(at::allclose(out.select(1, 0), before[2].select(1, 0).repeat_interleave(2, 1), 1e-6, 1e-6));
  // Documents [0, 45), [45, 70), [70, 100); another one changes, or the keys that lie ahead.
  auto first = at::zeros({1, 100}, at::TensorOptions().dtype(int64));
  first.narrow(1, 45, 25).fill_(45);
  first.narrow(1, 70, 30).fill_(70);
  auto const documents = value_and_gradients(fused({.first = first}), before, upstream(s), float32);
  for (auto const& [begin, size] : {std::pair{0, 45}, {45, 25}, {70, 30}}) {
    auto changed = before;
    for (auto& t : changed) {
      t = t + 1;
      t.narrow(1, begin, size).copy_(before[static_cast<std::size_t>(&t - changed.data())].narrow(1, begin, size));
    }
    auto const found = value_and_gradients(fused({.first = first}), changed, upstream(s), float32);
    for (std::size_t i = 0; i < found.size(); ++i) {
      CHECK(at::equal(found[i].narrow(1, begin, size), documents[i].narrow(1, begin, size)));
      CHECK_FALSE(at::equal(found[i], documents[i]));
    }
    if (begin == 0) CHECK(at::equal(fused()(changed).narrow(1, 0, size), out.narrow(1, 0, size)));
  }
}

TEST_CASE("large scores stay finite, strided arguments and gradients are taken") {
  Size const s{2, 70, 2, 2, 8};
  for (auto const& visible : std::vector<VisibleKeys>{{}, {.first = starts(2, 70, 10)}}) {
    auto large = arguments(s);
    for (auto& a : large) a = (a.to(float32) * 100).requires_grad_();
    fused(visible)(large).sum().backward();
    for (auto const& a : large) CHECK(a.grad().isfinite().all().item<bool>());
    std::vector<Tensor> strided;
    for (auto const& t : arguments(s)) strided.push_back(t.to(float32).transpose(1, 2).contiguous().transpose(1, 2));
    CHECK(at::equal(fused(visible)(strided), fused(visible)(in_float32(arguments(s)))));
  }
}

TEST_CASE("float64 goes through SDPA, whole blocks and the rest of one apart") {
  for (auto const& s : std::vector<Size>{{2, 20, 4, 2, 8}, {3, 23, 2, 2, 4}}) {
    auto const documents = starts(s.batch, s.length, 4);
    for (auto const& visible : std::vector<VisibleKeys>{
             {}, {.first = documents}, {.block = 5}, {.first = documents, .block = 5}, {.first = window(s.length, 3), .block = 10}}) {
      CAPTURE(visible.block);
      auto const exact = value_and_gradients(plain(visible, 0.3), arguments(s), upstream(s), float64);
      auto const found = value_and_gradients(fused(visible, 0.3), arguments(s), upstream(s), float64);
      for (std::size_t i = 0; i < exact.size(); ++i) CHECK(relative_error(found[i], exact[i]) < 1e-14);
    }
  }
}

TEST_CASE("no token at all") {
  CHECK(fused()({at::zeros({2, 0, 2, 4}), at::zeros({2, 0, 1, 4}), at::zeros({2, 0, 1, 4})}).sizes() == Shape{2, 0, 2, 4});
  CHECK(fused()({at::zeros({0, 3, 2, 4}), at::zeros({0, 3, 1, 4}), at::zeros({0, 3, 1, 4})}).sizes() == Shape{0, 3, 2, 4});
}

TEST_CASE("attention refuses heads that do not divide and unlike sizes") {
  CHECK_THROWS_WITH_AS(kernel::attention(at::zeros({1, 2, 3, 4}), at::zeros({1, 2, 2, 4}), at::zeros({1, 2, 2, 4})),
                       "attention: expected q [B, L, N, H], k and v [B, L, K, H] with N a multiple of K, found "
                       "[1, 2, 3, 4], [1, 2, 2, 4] and [1, 2, 2, 4]",
                       ShapeError);
  CHECK_THROWS_AS(kernel::attention(at::zeros({1, 2, 2, 4}), at::zeros({1, 3, 2, 4}), at::zeros({1, 3, 2, 4})), ShapeError);
  CHECK_THROWS_AS(kernel::attention(at::zeros({1, 2, 2, 4}), at::zeros({1, 2, 2, 4}), at::zeros({1, 2, 2, 4}),
                                    {.first = at::zeros({1, 3}, at::TensorOptions().dtype(int64))}),
                  ShapeError);
}
