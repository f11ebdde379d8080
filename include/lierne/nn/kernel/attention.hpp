// SPDX-License-Identifier: Apache-2.0
// Grouped-query attention over the keys that a mask allows: work and memory follow the allowed area.
#pragma once

#include <optional>

#include "lierne/nn/kernel/visible_keys.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <limits>

#include "lierne/nn/kernel/attention_gradient.hpp"
#include "lierne/nn/kernel/block_products.hpp"
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
/// Numerics: on an x86 CPU sums and softmax in float32, operands of products in the tensors' dtype, probabilities among them;
/// bfloat16 wholly in float32 where the processor has no instructions for it; the bits do not depend on the number of threads.
/// Everything else through SDPA, where a mask costs a table of L × L, or L × block. Saves one number a row and head, no
/// probabilities.
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

  /// From products q·k to e^(factor · q·k - top), rounded to `weight`, and 0 for keys that a row does not see. Spoils
  /// `score`, which may be `weight`. `seen`: of each row, the keys in the chunk.
  template <class T>
  void take(float* score, T* weight, std::int64_t rows, std::int64_t keys, float factor, Range const* seen) {
    auto *tops = top, *sums = sum, *scales = scale;
    with_vectors([=]() __attribute__((always_inline)) {
      Exponential const exponential;
      for (std::int64_t t = 0; t < rows; ++t) {
        auto* const w = weight + t * keys;
        auto const [begin, end] = seen[t];
        auto* const x = score + t * keys + begin;
        scales[t] = 1.0F;
        if (begin < end) {
          float const before = tops[t];
          float const largest = lane_fold(
              end - begin, before, [=](std::int64_t i) __attribute__((always_inline)) { return factor * x[i]; },
              [](float a, float b) __attribute__((always_inline)) { return a < b ? b : a; });
          float const added = lane_sum(end - begin, [=](std::int64_t i) __attribute__((always_inline)) {
            float const e = exponential(factor * x[i] - largest);
            x[i] = e;
            return e;
          });
          float const shrunk = exponential(before - largest);
          scales[t] = shrunk;
          tops[t] = largest;
          sums[t] = sums[t] * shrunk + added;
          round_to(w + begin, x, end - begin);
        }
        for (std::int64_t i = 0; i < begin; ++i) w[i] = T(0.0F);
        for (auto i = end; i < keys; ++i) w[i] = T(0.0F);
      }
    });
  }
};

/// Keys and values as right operands of products, for every head by blocks of `at_once` keys; zeros beyond the last key.
/// Shapes: keys [B, K, blocks, H/pair, at_once, pair], values [B, K, blocks, at_once/pair, H, pair].
template <class T>
struct PackedKeys {
  Tensor keys, values;

  PackedKeys(AttentionTiles const& s, Tensor const& k, Tensor const& v)
      : keys(at::empty({s.batch * s.keys, s.key_blocks(), s.size * s.at_once}, k.options())), values(at::empty_like(keys)) {
    auto const *k_data = k.const_data_ptr<T>(), *v_data = v.const_data_ptr<T>();
    auto *keys_to = keys.mutable_data_ptr<T>(), *values_to = values.mutable_data_ptr<T>();
    auto const blocks = s.key_blocks(), size = s.size, length = s.length, heads = s.keys, each = size * s.at_once;
    parallel_vectors(s.batch * s.keys * blocks, 4, [=](auto begin, auto end) __attribute__((always_inline)) {
      for (auto i = begin; i < end; ++i) {
        auto const head = i / blocks, from = i % blocks * AttentionTiles::at_once;
        auto const at = (head / heads * length + from) * heads + head % heads;
        auto const rows = std::min(AttentionTiles::at_once, length - from);
        auto* const values_at = values_to + i * each;
        pack_columns<T>({k_data + at * size, heads * size}, rows, size, keys_to + i * each, AttentionTiles::at_once);
        pack_rows<T>({v_data + at * size, heads * size}, rows, size, values_at);
        for (auto t = whole_pairs<T>(rows) * size; t < each; ++t) values_at[t] = T(0.0F);
      }
    });
  }
};

template <class T>
class AttentionPass {
 public:
  AttentionPass(AttentionTiles const& sizes, Tensor const& q, Tensor const& k, Tensor const& v, double scale)
      : s_(sizes), packed_(sizes, k, v), scale_(static_cast<float>(scale)), q_(q.const_data_ptr<T>()),
        keys_(packed_.keys.template const_data_ptr<T>()), values_(packed_.values.template const_data_ptr<T>()) {}

  /// Writes the output, [B, L, N, H], and the log of each row's sum, [B, N, L].
  void run(T* out, float* log_sums) const {
    auto const chunk = std::min(s_.chunk, s_.key_blocks() * s_.at_once);
    auto const make = [&] { return Memory(s_.tile * chunk, s_.tile * s_.size); };
    // The last spans first: they see most, and what is left for the end is small.
    for_each_unit<T>(s_.batch * s_.keys * s_.spans, make, [&](std::int64_t unit, Memory& memory) {
      auto const span = s_.span_at(s_.spans - 1 - unit / (s_.batch * s_.keys));
      auto const b = unit / s_.keys % s_.batch, key = unit % s_.keys;
      for (auto head = key * s_.group(); head < (key + 1) * s_.group(); ++head) {
        for (auto begin = span.begin; begin < span.end; begin += s_.tile) {
          run_tile(b, head, {begin, std::min(begin + s_.tile, span.end)}, memory, s_.head(out, b, head, s_.heads).from(begin),
                   log_sums + (b * s_.heads + head) * s_.length + begin);
        }
      }
    });
  }

 private:
  struct Memory {
    TileMemory<float> score, result;
    TileMemory<T> own_weight, queries;
    Memory(std::int64_t scores, std::int64_t results)
        : score(scores), result(results), own_weight(pair_of<T> == 1 ? 0 : scores), queries(results) {}
    T* weight() const { return in_place_of(score, own_weight); }
  };

  void run_tile(std::int64_t b, std::int64_t head, Range rows, Memory const& memory, Rows<T> out, float* log_sums) const {
    constexpr auto at_once = AttentionTiles::at_once;
    RunningSoftmax softmax;
    std::fill_n(softmax.top, rows.size(), -std::numeric_limits<float>::infinity());
    std::fill_n(softmax.sum, rows.size(), 0.0F);
    auto const queries = whole_tile(s_.head(q_, b, head, s_.heads).from(rows.begin), rows.size(), memory);
    auto const first_block = (b * s_.keys + head / s_.group()) * s_.key_blocks();
    Range seen[AttentionTiles::largest];
    float* const result = memory.result;
    auto const lowest = s_.first(b, rows) / at_once * at_once;
    for (auto from = lowest; from < rows.end; from += s_.chunk) {
      auto const keys = std::min(s_.chunk, (rows.end - from + at_once - 1) / at_once * at_once);
      for (std::int64_t t = 0; t < rows.size(); ++t) seen[t] = s_.seen(b, rows.begin + t, {from, from + keys});
      auto const block = [&](T const* all, std::int64_t key) { return all + (first_block + (from + key) / at_once) * s_.size * at_once; };
      for (std::int64_t key = 0; key < keys; key += at_once) {
        multiply(s_.tile, at_once, s_.size, queries, block(keys_, key), at_once, false, {memory.score + key, keys});
      }
      softmax.take(memory.score, memory.weight(), rows.size(), keys, scale_, seen);
      if (from > lowest) scale_rows(result, softmax.scale, rows.size(), s_.size);
      for (std::int64_t key = 0; key < keys; key += at_once) {
        multiply<T>(s_.tile, s_.size, at_once, {memory.weight() + key, keys}, block(values_, key), s_.size, from + key > lowest,
                    {result, s_.size});
      }
    }
    for (std::int64_t t = 0; t < rows.size(); ++t) {
      log_sums[t] = softmax.top[t] + std::log(softmax.sum[t]);
      softmax.scale[t] = 1.0F / softmax.sum[t];
    }
    scale_rows(result, softmax.scale, rows.size(), s_.size);
    with_vectors([=, count = rows.size(), size = s_.size]() __attribute__((always_inline)) {
      for (std::int64_t t = 0; t < count; ++t) round_to(out.from(t).data, result + t * size, size);
    });
  }

  /// The queries of a tile, filled up by zeros at the end of a sequence: oneDNN makes code for every size that it meets.
  Rows<T const> whole_tile(Rows<T const> queries, std::int64_t count, Memory const& memory) const {
    if (count == s_.tile) return queries;
    T* const to = memory.queries;
    for (std::int64_t t = 0; t < count; ++t) std::copy_n(queries.from(t).data, s_.size, to + t * s_.size);
    std::fill(to + count * s_.size, to + s_.tile * s_.size, T(0.0F));
    return {to, s_.size};
  }

  static void scale_rows(float* rows, float const* scale, std::int64_t count, std::int64_t size) {
    with_vectors([=]() __attribute__((always_inline)) {
      for (std::int64_t t = 0; t < count; ++t) {
        for (std::int64_t i = 0; i < size; ++i) rows[t * size + i] *= scale[t];
      }
    });
  }

  AttentionTiles const& s_;
  PackedKeys<T> packed_;
  float scale_;
  T const *q_, *keys_, *values_;
};

template <class T>
struct AttentionFunction : Function<AttentionFunction<T>> {
  static Tensor forward(AutogradContext* context, Tensor const& q, Tensor const& k, Tensor const& v,
                        VisibleKeys const& visible, double scale) {
    AttentionTiles const s(q, k, visible.first, visible.block);
    auto const out = at::empty_like(q);
    auto const log_sum = at::empty({s.batch, s.heads, s.length}, q.options().dtype(float32));
    AttentionPass<T>(s, q, k, v, scale).run(out.mutable_data_ptr<T>(), log_sum.mutable_data_ptr<float>());
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
    auto const wide = q.options().dtype(float32);
    auto const dq = at::empty(q.sizes(), wide), dk = at::empty(k.sizes(), wide), dv = at::empty(v.sizes(), wide);
    AttentionGradient<T>(s, {.scale = static_cast<float>(context->saved_data["scale"].toDouble()),
                             .q = q.const_data_ptr<T>(),
                             .k = k.const_data_ptr<T>(),
                             .v = v.const_data_ptr<T>(),
                             .out = out.const_data_ptr<T>(),
                             .up = upstream.const_data_ptr<T>(),
                             .log_sums = saved[4].const_data_ptr<float>(),
                             .dq = dq.mutable_data_ptr<float>(),
                             .dk = dk.mutable_data_ptr<float>(),
                             .dv = dv.mutable_data_ptr<float>()})
        .run();
    auto const type = q.scalar_type();
    return {dq.to(type), dk.to(type), dv.to(type), {}, {}};
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
  bool const narrow = q.scalar_type() == bfloat16;
  bool const fused = fusible(q, k, v) && k.scalar_type() == q.scalar_type() && v.scalar_type() == q.scalar_type() &&
                     detail::has_block_products<float>();
  // Without products of bfloat16, or with heads that are no whole pairs of them, in float32.
  if (widens(q) || (fused && narrow && (q.size(3) % 2 != 0 || !detail::has_block_products<at::BFloat16>()))) {
    return attention(q.to(float32), k.to(float32), v.to(float32), visible, factor).to(q.scalar_type());
  }
  if (fused && q.numel() > 0) {
    VisibleKeys const rows{visible.first.defined() ? visible.first.contiguous() : Tensor(), visible.block};
    auto const run = [&]<class T>(T) {
      return detail::AttentionFunction<T>::apply(q.contiguous(), k.contiguous(), v.contiguous(), rows, factor);
    };
    return narrow ? run(at::BFloat16()) : run(float());
  }
  return detail::attention_by_sdpa(q, k, v, visible, factor);
}

#endif

}  // namespace lierne::kernel
