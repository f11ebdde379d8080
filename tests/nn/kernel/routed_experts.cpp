// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/routed_experts.hpp"

#include "against.hpp"
#include "lierne/nn/recompute.hpp"
#include "lierne/tensor/counted_memory.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

struct Sizes {
  std::int64_t tokens, per_token, experts, width, hidden;
};

/// x, base, scores, w1, w2, w3.
std::vector<Tensor> arguments(Sizes const& s) {
  return {draw({s.tokens, s.width}, 1, 1),
          draw({s.tokens, s.width}, 1, 2),
          draw({s.tokens, s.per_token}, 1, 3).sigmoid(),
          draw({s.experts, s.hidden, s.width}, 0.2, 4),
          draw({s.experts, s.width, s.hidden}, 0.2, 5),
          draw({s.experts, s.hidden, s.width}, 0.2, 6)};
}
Tensor upstream(Sizes const& s) { return draw({s.tokens, s.width}, 1, 7); }

/// Different experts for each token, as a top-k gives them, among the first `among`.
Tensor choices(Sizes const& s, std::int64_t among) {
  return std::get<1>(at::topk(draw({s.tokens, among}, 1, 8), s.per_token, -1));
}

/// The formula token by token and choice by choice, in plain operators of the arguments' dtype.
Operation token_by_token(Tensor const& choices, bool before) {
  return [=](std::vector<Tensor> const& a) {
    auto const &x = a[0], &base = a[1], &w1 = a[3], &w2 = a[4], &w3 = a[5];
    // The scores stay in float32 where the rest is bfloat16.
    auto const scores = a[2].scalar_type() == bfloat16 ? a[2].to(float32) : a[2];
    std::vector<Tensor> rows;
    for (std::int64_t t = 0; t < x.size(0); ++t) {
      auto sum = base[t];
      for (std::int64_t k = 0; k < choices.size(1); ++k) {
        auto const e = choices[t][k].item<std::int64_t>();
        auto const g = scores[t][k];
        auto const in = before ? (x[t].to(g.scalar_type()) * g).to(x.scalar_type()) : x[t];
        auto const out = at::mv(w2[e], at::silu(at::mv(w1[e], in)) * at::mv(w3[e], in));
        sum = sum + (before ? out : (out.to(g.scalar_type()) * g).to(x.scalar_type()));
      }
      rows.push_back(sum);
    }
    return at::stack(rows);
  };
}
Operation fused(Tensor const& choices, bool before) {
  return [=](std::vector<Tensor> const& a) {
    auto const scores = a[2].scalar_type() == bfloat16 ? a[2].to(float32) : a[2];
    return kernel::routed_experts(a[0], a[1], scores, choices, {a[3], a[4], a[5]}, {.before = before});
  };
}
Operation by_groups(Tensor const& choices, bool before, bool aligned) {
  return [=](std::vector<Tensor> const& a) {
    auto const scores = a[2].scalar_type() == bfloat16 ? a[2].to(float32) : a[2];
    return kernel::detail::routed_experts_by_groups(a[0], a[1], scores, choices, {a[3], a[4], a[5]}, {.before = before}, aligned);
  };
}

/// The same, with cheap values that go and come back.
Operation by_groups_again(Tensor const& choices, bool before, bool aligned) {
  return [=](std::vector<Tensor> const& a) {
    auto const scores = a[2].scalar_type() == bfloat16 ? a[2].to(float32) : a[2];
    Recomputed recomputed;
    Sequence const sequence{.recomputed = &recomputed};
    auto const make_cheap = [&](TensorList const& sources, std::function<Tensor()> make) {
      return recomputable(sequence, sources, std::move(make));
    };
    return recomputed.finish(kernel::detail::routed_experts_by_groups(
        a[0], a[1], scores, choices, {a[3], a[4], a[5]}, {.before = before, .make_cheap = make_cheap}, aligned));
  };
}

/// Bytes that live between forward and backward pass.
std::int64_t kept(Operation const& operation, std::vector<Tensor> arguments, Dtype dtype) {
  for (auto& a : arguments) a = a.to(dtype).requires_grad_();
  CountedMemory memory;
  auto const value = operation(arguments);
  return memory.live() - static_cast<std::int64_t>(value.nbytes());
}

}  // namespace

TEST_CASE("experts equal a loop over tokens, values and gradients") {
  for (bool before : {true, false}) {
    for (auto const& sizes : {Sizes{23, 1, 4, 12, 20}, Sizes{40, 2, 6, 16, 8}, Sizes{9, 3, 3, 24, 16}}) {
      CAPTURE(before);
      CAPTURE(sizes.per_token);
      auto const to = choices(sizes, sizes.experts);
      against_float64(fused(to, before), token_by_token(to, before), arguments(sizes), upstream(sizes), 6e-7);
    }
  }
}

TEST_CASE("the ways by groups equal the same loop") {
  Sizes const sizes{160, 2, 5, 16, 24};
  auto const to = choices(sizes, 5);
  for (bool before : {true, false}) {
    for (bool aligned : {true, false}) {
      CAPTURE(aligned);
      CAPTURE(before);
      against_float64(by_groups(to, before, aligned), token_by_token(to, before), arguments(sizes), upstream(sizes), 6e-7);
    }
    // float64 takes the loop of products.
    auto const found = value_and_gradients(fused(to, before), arguments(sizes), upstream(sizes), float64);
    auto const exact = value_and_gradients(token_by_token(to, before), arguments(sizes), upstream(sizes), float64);
    for (std::size_t i = 0; i < exact.size(); ++i) CHECK(relative_error(found[i], exact[i]) <= 1e-14);
  }
}

TEST_CASE("rows and activations that are not kept come back: the same bits from less memory") {
  Sizes const sizes{160, 2, 5, 32, 48};
  auto const to = choices(sizes, 5);
  for (bool before : {true, false}) {
    for (bool aligned : {false, true}) {
      for (auto dtype : {float32, bfloat16, float64}) {
        if (aligned && dtype == float64) continue;
        CAPTURE(before);
        CAPTURE(aligned);
        auto const plain = value_and_gradients(by_groups(to, before, aligned), arguments(sizes), upstream(sizes), dtype);
        auto const again = value_and_gradients(by_groups_again(to, before, aligned), arguments(sizes), upstream(sizes), dtype);
        for (std::size_t i = 0; i < plain.size(); ++i) CHECK(again[i].equal(plain[i]));
        auto const all = kept(by_groups(to, before, aligned), arguments(sizes), dtype),
                   some = kept(by_groups_again(to, before, aligned), arguments(sizes), dtype);
        CHECK(static_cast<double>(some) <= 0.75 * static_cast<double>(all));
      }
    }
  }
}

TEST_CASE("all tokens to one expert, one token, none") {
  for (bool before : {true, false}) {
    for (auto const& sizes : {Sizes{17, 1, 4, 8, 12}, Sizes{1, 2, 4, 8, 12}}) {
      auto const to = choices(sizes, sizes.per_token);  // the first experts alone
      against_float64(fused(to, before), token_by_token(to, before), arguments(sizes), upstream(sizes), 6e-7);
      auto const found = value_and_gradients(fused(to, before), arguments(sizes), upstream(sizes), float32);
      for (int w : {4, 5, 6}) {
        CHECK(found[w].narrow(0, sizes.per_token, 4 - sizes.per_token).count_nonzero().item<std::int64_t>() == 0);
      }
    }
    Sizes const none{0, 2, 4, 8, 12};
    auto const to = at::zeros({0, 2}, at::TensorOptions().dtype(int64));
    for (auto const& operation : {fused(to, before), by_groups(to, before, false), by_groups(to, before, true)}) {
      auto const found = value_and_gradients(operation, arguments(none), upstream(none), float32);
      CHECK(found[0].sizes() == at::IntArrayRef({0, 8}));
      for (int w : {4, 5, 6}) CHECK(found[w].count_nonzero().item<std::int64_t>() == 0);
    }
  }
}

TEST_CASE("a permutation of the tokens permutes the results") {
  Sizes const sizes{30, 2, 4, 16, 16};
  auto const to = choices(sizes, 4), order = at::randperm(30, at::TensorOptions().dtype(int64));
  auto single = arguments(sizes), moved = arguments(sizes);
  for (auto* all : {&single, &moved}) {
    for (auto& a : *all) a = a.to(float32);
  }
  for (int i : {0, 1, 2}) moved[i] = moved[i].index_select(0, order);
  for (bool before : {true, false}) {
    auto const plain = fused(to, before)(single).index_select(0, order);
    CHECK(relative_error(fused(to.index_select(0, order), before)(moved), plain) <= 3e-7);
  }
}

TEST_CASE("the same bits again, and on any number of threads") {
  Sizes const sizes{300, 2, 5, 64, 96};
  auto const to = choices(sizes, 5);
  for (bool before : {true, false}) {
    for (auto dtype : {float32, bfloat16}) {
      same_bits_for_any_threads(fused(to, before), arguments(sizes), upstream(sizes), dtype);
      auto const once = value_and_gradients(fused(to, before), arguments(sizes), upstream(sizes), dtype);
      auto const again = value_and_gradients(fused(to, before), arguments(sizes), upstream(sizes), dtype);
      for (std::size_t i = 0; i < once.size(); ++i) CHECK(once[i].equal(again[i]));
    }
  }
}

TEST_CASE("shapes that do not fit are named") {
  Sizes const sizes{5, 1, 2, 8, 12};
  auto const a = arguments(sizes);
  CHECK_THROWS_WITH_AS(
      kernel::routed_experts(a[0], a[1], a[2], choices(sizes, 2), {a[3], a[3], a[5]}, {}),
      "routed_experts: expected x and base [T, D], scores and choices [T, K], w1 and w3 [E, F, D], w2 [E, D, F], found "
      "[5, 8], [5, 8], [5, 1], [5, 1], [2, 12, 8], [2, 12, 8], [2, 12, 8]",
      ShapeError);
}
