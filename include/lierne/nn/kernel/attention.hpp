// SPDX-License-Identifier: Apache-2.0
// Grouped-query attention over the keys that a mask allows: work and memory follow the allowed area.
#pragma once

#include <optional>

#include "lierne/nn/kernel/visible_keys.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <limits>

#include "lierne/nn/kernel/attention_gradient.hpp"
#include "lierne/nn/kernel/attention_tiles.hpp"
#include "lierne/nn/kernel/product.hpp"
#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#endif

// B batch, L length, N query heads, K key heads, H head size.

namespace lierne::kernel {

/// softmax(scale · q kᵀ over the visible keys) v. Query head n attends to key head n / (N/K). `scale`: 1/√H if not given.
/// Shapes: q [B, L, N, H], k and v [B, L, K, H] → [B, L, N, H]. Errors: `ShapeError`; see `check_visible`.
/// Numerics: float32 inside for float32 on the CPU, and for bfloat16 there, unless the processor multiplies tiles of it (AMX)
/// and the mask leaves no key out; the bits do not depend on the number of threads. Everything else through SDPA, where a
/// mask costs a table of L × L, or L × block. Saves one number a row and head, no probabilities.
/// Source: Dao 2023, arXiv:2307.08691, with tiles on the heads where they lie.
Tensor attention(Tensor const& q, Tensor const& k, Tensor const& v, VisibleKeys const& visible = {},
                 std::optional<double> scale = {});

#if LIERNE_BODIES

namespace detail {

/// A softmax over keys that come chunk by chunk: of each row of a tile the largest score so far, and the sum of e^(x - it).
struct RunningSoftmax {
  float top[AttentionTiles::largest];
  float sum[AttentionTiles::largest];
  float scale[AttentionTiles::largest];  // by which the chunk just taken shrinks the rows' earlier results

  /// Turns the scores of the chunk's keys into e^(x - top), and into 0 those of keys that a row does not see.
  /// `seen`: of each row, the keys in the chunk.
  void take(float* score, std::int64_t rows, std::int64_t keys, Range const* seen) {
    auto *tops = top, *sums = sum, *scales = scale;
    with_vectors([=]() __attribute__((always_inline)) {
      Exponential const exponential;
      for (std::int64_t t = 0; t < rows; ++t) {
        auto* const row = score + t * keys;
        auto const [begin, end] = seen[t];
        for (std::int64_t i = 0; i < begin; ++i) row[i] = 0.0F;
        for (auto i = end; i < keys; ++i) row[i] = 0.0F;
        scales[t] = 1.0F;
        if (begin == end) continue;
        auto* const x = row + begin;
        float const before = tops[t];
        float const largest = lane_fold(
            end - begin, before, [=](std::int64_t i) __attribute__((always_inline)) { return x[i]; },
            [](float a, float b) __attribute__((always_inline)) { return a < b ? b : a; });
        float const added = lane_sum(end - begin, [=](std::int64_t i) __attribute__((always_inline)) {
          float const e = exponential(x[i] - largest);
          x[i] = e;
          return e;
        });
        float const shrunk = exponential(before - largest);
        scales[t] = shrunk;
        tops[t] = largest;
        sums[t] = sums[t] * shrunk + added;
      }
    });
  }
};

struct AttentionFunction : Function<AttentionFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& q, Tensor const& k, Tensor const& v,
                        VisibleKeys const& visible, double scale) {
    AttentionTiles const s(q, k, visible.first, visible.block);
    auto const out = at::empty_like(q);
    auto const log_sum = at::empty({s.batch, s.heads, s.length}, q.options());
    auto const *q_data = q.const_data_ptr<float>(), *k_data = k.const_data_ptr<float>(), *v_data = v.const_data_ptr<float>();
    auto *out_data = out.mutable_data_ptr<float>(), *log_sums = log_sum.mutable_data_ptr<float>();
    auto const factor = static_cast<float>(scale);
    // The last spans first: they see most, and what is left for the end is small.
    for_each_unit(s.batch * s.keys * s.spans, s.tile * std::min(s.length, s.chunk), [&](std::int64_t unit, float* score) {
      auto const span = s.span_at(s.spans - 1 - unit / (s.batch * s.keys));
      auto const b = unit / s.keys % s.batch, key = unit % s.keys;
      auto const keys = s.head(k_data, b, key, s.keys), values = s.head(v_data, b, key, s.keys);
      for (auto head = key * s.group(); head < (key + 1) * s.group(); ++head) {
        auto const queries = s.head(q_data, b, head, s.heads);
        for (auto begin = span.begin; begin < span.end; begin += s.tile) {
          Range const rows{begin, std::min(begin + s.tile, span.end)};
          forward_tile(s, b, rows, factor, queries.from(begin), keys, values, s.head(out_data, b, head, s.heads).from(begin),
                       log_sums + (b * s.heads + head) * s.length + begin, score);
        }
      }
    });
    context->save_for_backward({q, k, v, out, log_sum, visible.first});
    context->saved_data["block"] = visible.block;
    context->saved_data["scale"] = scale;
    return out;
  }

  static TensorList backward(AutogradContext* context, TensorList const& gradients) {
    auto const saved = context->get_saved_variables();
    auto const &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3];
    AttentionTiles const s(q, k, saved[5], context->saved_data["block"].toInt());
    auto const upstream = gradients[0].contiguous();
    auto const dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    AttentionGradient const gradient{.sizes = s,
                                     .scale = static_cast<float>(context->saved_data["scale"].toDouble()),
                                     .q = q.const_data_ptr<float>(),
                                     .k = k.const_data_ptr<float>(),
                                     .v = v.const_data_ptr<float>(),
                                     .out = out.const_data_ptr<float>(),
                                     .up = upstream.const_data_ptr<float>(),
                                     .log_sums = saved[4].const_data_ptr<float>(),
                                     .dq = dq.mutable_data_ptr<float>(),
                                     .dk = dk.mutable_data_ptr<float>(),
                                     .dv = dv.mutable_data_ptr<float>()};
    gradient.run();
    return {dq, dk, dv, {}, {}};
  }

 private:
  /// Attention of one tile of queries: its rows of the output and the log of their sums.
  static void forward_tile(AttentionTiles const& s, std::int64_t b, Range rows, float scale, Rows<float const> queries,
                           Rows<float const> keys, Rows<float const> values, Rows<float> result, float* log_sums,
                           float* score) {
    RunningSoftmax softmax;
    std::fill_n(softmax.top, rows.size(), -std::numeric_limits<float>::infinity());
    std::fill_n(softmax.sum, rows.size(), 0.0F);
    Range seen[AttentionTiles::largest];
    auto const lowest = s.first(b, rows);
    for (auto from = lowest; from < rows.end; from += s.chunk) {
      Range const chunk{from, std::min(from + s.chunk, rows.end)};
      for (std::int64_t t = 0; t < rows.size(); ++t) seen[t] = s.seen(b, rows.begin + t, chunk);
      multiply(rows.size(), chunk.size(), s.size, scale, queries, false, keys.from(from), true, 0.0F, {score, chunk.size()});
      softmax.take(score, rows.size(), chunk.size(), seen);
      if (from > lowest) scale_rows(result, softmax.scale, rows.size(), s.size);
      multiply(rows.size(), s.size, chunk.size(), 1.0F, {score, chunk.size()}, false, values.from(from), false,
               from > lowest ? 1.0F : 0.0F, result);
    }
    for (std::int64_t t = 0; t < rows.size(); ++t) {
      log_sums[t] = softmax.top[t] + std::log(softmax.sum[t]);
      softmax.scale[t] = 1.0F / softmax.sum[t];
    }
    scale_rows(result, softmax.scale, rows.size(), s.size);
  }

  static void scale_rows(Rows<float> rows, float const* scale, std::int64_t count, std::int64_t size) {
    for (std::int64_t t = 0; t < count; ++t) {
      auto* const row = rows.from(t).data;
      for (std::int64_t i = 0; i < size; ++i) row[i] *= scale[t];
    }
  }
};

/// SDPA, with a table of what is seen where that is not all. Whole blocks lie side by side in the batch, so that none
/// costs a table of the sequence; what is left over at the end is a batch of its own.
inline Tensor attention_by_sdpa(Tensor const& q, Tensor const& k, Tensor const& v, VisibleKeys const& visible, double scale) {
  auto const length = q.size(1), block = visible.block;
  if (block == 0 || block >= length) {
    auto const mask = visible.first.defined() ? visible_table({.first = visible.first}, length, q.device()).unsqueeze(1) : Tensor();
    return at::scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2),
                                            mask.defined() ? std::optional(mask) : std::nullopt, /*dropout_p=*/0.0,
                                            /*is_causal=*/!mask.defined(), scale, /*enable_gqa=*/q.size(2) != k.size(2))
        .transpose(1, 2);
  }
  auto const part = [&](std::int64_t begin, std::int64_t size, std::int64_t blocks) {
    auto const cut = [&](Tensor const& x) { return x.narrow(1, begin, size).unflatten(1, {blocks, -1}).flatten(0, 1); };
    VisibleKeys inside;
    if (visible.first.defined()) {
      auto const position = at::arange(begin, begin + size, visible.first.options());
      auto const first = (visible.first.narrow(1, begin, size) - (position - position % block)).clamp_min(0);
      inside.first = first.expand({q.size(0), size}).reshape({q.size(0) * blocks, -1});
    }
    return attention_by_sdpa(cut(q), cut(k), cut(v), inside, scale).unflatten(0, {q.size(0), blocks}).flatten(1, 2);
  };
  auto const whole = length / block * block;
  auto const blocks = part(0, whole, length / block);
  return whole == length ? blocks : at::cat({blocks, part(whole, length - whole, 1)}, 1);
}

}  // namespace detail

LIERNE_INLINE Tensor attention(Tensor const& q, Tensor const& k, Tensor const& v, VisibleKeys const& visible,
                               std::optional<double> scale) {
  check<ShapeError>(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes() && q.size(0) == k.size(0) &&
                        q.size(1) == k.size(1) && q.size(3) == k.size(3) && k.size(2) > 0 && q.size(2) % k.size(2) == 0,
                    "attention: expected q [B, L, N, H], k and v [B, L, K, H] with N a multiple of K, found ",
                    to_string(q.sizes()), ", ", to_string(k.sizes()), " and ", to_string(v.sizes()));
  check_visible(visible, q.size(0), q.size(1));
  auto const factor = scale.value_or(1 / std::sqrt(static_cast<double>(q.size(3))));
  // SDPA gains by bfloat16 in tile registers alone, and under a mask float32 on the allowed area beats even those on all of it.
  bool const narrow = fusible(q, k, v) && q.scalar_type() != float32;
  if (widens(q) || (narrow && (!visible.all() || !has_tile_products()))) {
    return attention(q.to(float32), k.to(float32), v.to(float32), visible, factor).to(q.scalar_type());
  }
  if (sgemm_ != nullptr && q.numel() > 0 && fusible(q, k, v) && !narrow) {
    VisibleKeys const rows{visible.first.defined() ? visible.first.contiguous() : Tensor(), visible.block};
    return detail::AttentionFunction::apply(q.contiguous(), k.contiguous(), v.contiguous(), rows, factor);
  }
  return detail::attention_by_sdpa(q, k, v, visible, factor);
}

#endif

}  // namespace lierne::kernel
