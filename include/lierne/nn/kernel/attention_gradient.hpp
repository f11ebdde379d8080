// SPDX-License-Identifier: Apache-2.0
// The backward pass of attention on the CPU: in parallel over queries and keys, in one order for any number of threads.
#pragma once

#include "lierne/nn/kernel/attention_tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"

namespace lierne::kernel::detail {

/// Gradients of an attention. Pointers: q, out, up (the gradient of out) and dq [B, L, N, H]; k, v, dk and dv [B, L, K, H];
/// log_sums [B, N, L]. Overwrites dq, dk and dv.
struct AttentionGradient {
  AttentionTiles const& sizes;
  float scale;
  float const *q, *k, *v, *out, *up, *log_sums;
  float *dq, *dk, *dv;

  /// In round r every span of queries i meets the span of keys i - r: no two units of a round add to the same rows, and
  /// every row adds up in the order of the rounds.
  void run() const {
    auto const& s = sizes;
    std::vector<std::int64_t> reach;  // the first span of keys that each span of queries sees
    std::int64_t rounds = 0;
    for (std::int64_t b = 0; b < s.batch; ++b) {
      for (std::int64_t i = 0; i < s.spans; ++i) {
        reach.push_back(s.first(b, s.span_at(i)) / s.span);
        rounds = std::max(rounds, i - reach.back() + 1);
      }
    }
    std::vector<Pair> pairs;
    for (std::int64_t round = 0; round < rounds; ++round) {
      pairs.clear();
      for (std::int64_t b = 0; b < s.batch; ++b) {
        for (std::int64_t i = round; i < s.spans; ++i) {
          if (reach[static_cast<std::size_t>(b * s.spans + i)] > i - round) continue;
          for (std::int64_t key = 0; key < s.keys; ++key) pairs.push_back({b, key, i, i - round});
        }
      }
      for_each_unit(static_cast<std::int64_t>(pairs.size()), 2 * s.tile * std::min(s.span, s.length),
                    [&](std::int64_t unit, float* scratch) { meet(pairs[static_cast<std::size_t>(unit)], scratch); });
    }
  }

 private:
  /// A span of the queries of one key head, and a span of its keys.
  struct Pair {
    std::int64_t b, key, queries, keys;
  };

  /// Adds to the gradients of a pair's rows. On the diagonal, which comes first and has every row, it sets them.
  void meet(Pair const& pair, float* scratch) const {
    auto const& s = sizes;
    auto const b = pair.b, key = pair.key;
    bool const first = pair.queries == pair.keys;
    auto const query_span = s.span_at(pair.queries), key_span = s.span_at(pair.keys);
    auto const keys = s.head(k, b, key, s.keys), values = s.head(v, b, key, s.keys);
    auto const keys_gradient = s.head(dk, b, key, s.keys), values_gradient = s.head(dv, b, key, s.keys);
    auto *const probability = scratch, *const change = scratch + s.tile * std::min(s.span, s.length);
    auto const tile = s.tile;
    bool set = !first;  // whether the gradients of the key span's rows have values
    for (auto head = key * s.group(); head < (key + 1) * s.group(); ++head) {
      auto const at = [&](auto* data, std::int64_t row) { return s.head(data, b, head, s.heads).from(row); };
      // From the last tile on: without a mask it sees the whole span, and so sets all rows that the others add to.
      for (auto begin = query_span.begin + (query_span.size() - 1) / tile * tile; begin >= query_span.begin; begin -= tile) {
        Range const rows{begin, std::min(begin + tile, query_span.end)};
        Range const chunk{std::max(s.first(b, rows), key_span.begin), std::min(rows.end, key_span.end)};
        if (chunk.size() <= 0) continue;
        if (!set && chunk.size() < key_span.size()) {
          clear(keys_gradient, key_span);
          clear(values_gradient, key_span);
          set = true;
        }
        auto const count = rows.size(), seen = chunk.size();
        multiply(count, seen, s.size, scale, at(q, begin), false, keys.from(chunk.begin), true, 0.0F, {probability, seen});
        multiply(count, seen, s.size, 1.0F, at(up, begin), false, values.from(chunk.begin), true, 0.0F, {change, seen});
        Range seen_by[AttentionTiles::largest];
        for (std::int64_t t = 0; t < count; ++t) seen_by[t] = s.seen(b, begin + t, chunk);
        score_gradients(probability, change, count, seen, seen_by, log_sums + (b * s.heads + head) * s.length + begin,
                        at(out, begin), at(up, begin), s.size);
        float const beta = set ? 1.0F : 0.0F;
        multiply(seen, s.size, count, 1.0F, {probability, seen}, true, at(up, begin), false, beta,
                 values_gradient.from(chunk.begin));
        multiply(seen, s.size, count, scale, {change, seen}, true, at(q, begin), false, beta, keys_gradient.from(chunk.begin));
        multiply(count, s.size, seen, scale, {change, seen}, false, keys.from(chunk.begin), false, first ? 0.0F : 1.0F,
                 at(dq, begin));
        set = true;
      }
    }
  }

  void clear(Rows<float> rows, Range range) const {
    for (auto t = range.begin; t < range.end; ++t) std::fill_n(rows.from(t).data, sizes.size, 0.0F);
  }

  /// From scores and the gradients of probabilities to probabilities and the gradients of scores, 0 where a row sees no key.
  static void score_gradients(float* score, float* change, std::int64_t rows, std::int64_t keys, Range const* seen,
                              float const* log_sum, Rows<float const> result, Rows<float const> up, std::int64_t size) {
    with_vectors([=]() __attribute__((always_inline)) {
      Exponential const exponential;
      for (std::int64_t t = 0; t < rows; ++t) {
        auto *const x = score + t * keys, *const dx = change + t * keys;
        auto const *y = result.from(t).data, *dy = up.from(t).data;
        float const along = lane_sum(size, [=](std::int64_t i) __attribute__((always_inline)) { return y[i] * dy[i]; });
        float const shift = log_sum[t];
        auto const [begin, end] = seen[t];
        for (std::int64_t i = 0; i < begin; ++i) x[i] = dx[i] = 0.0F;
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) {
          float const p = exponential(x[i] - shift);
          x[i] = p;
          dx[i] = p * (dx[i] - along);
        }
        for (auto i = end; i < keys; ++i) x[i] = dx[i] = 0.0F;
      }
    });
  }
};

}  // namespace lierne::kernel::detail
