// SPDX-License-Identifier: Apache-2.0
// The backward pass of attention on the CPU: in parallel over queries and keys, in one order for any number of threads.
#pragma once

#include <bit>

#include "lierne/nn/kernel/block_products.hpp"
#include "lierne/nn/kernel/attention_tiles.hpp"
#include "lierne/nn/kernel/vectors.hpp"

namespace lierne::kernel::detail {

/// What the backward pass reads and writes. Pointers: q, out, up (the gradient of out) and dq [B, L, N, H]; k, v, dk and dv
/// [B, L, K, H]; log_sums [B, N, L].
template <class T>
struct AttentionGradientData {
  float scale;
  T const *q, *k, *v, *out, *up;
  float const* log_sums;
  float *dq, *dk, *dv;
};

/// Gradients of an attention. Overwrites dq, dk and dv.
template <class T>
class AttentionGradient {
 public:
  AttentionGradient(AttentionTiles const& sizes, AttentionGradientData<T> const& data) : s_(sizes), data_(data) {}

  /// In round r every span of queries i meets the span of keys i - r: no two units of a round add to the same rows, and
  /// every row adds up in the order of the rounds.
  void run() const {
    std::vector<std::int64_t> reach;  // the first span of keys that each span of queries sees
    std::int64_t rounds = 0;
    for (std::int64_t b = 0; b < s_.batch; ++b) {
      for (std::int64_t i = 0; i < s_.spans; ++i) {
        reach.push_back(s_.first(b, s_.span_at(i)) / s_.span);
        rounds = std::max(rounds, i - reach.back() + 1);
      }
    }
    std::vector<Pair> pairs;
    for (std::int64_t round = 0; round < rounds; ++round) {
      pairs.clear();
      for (std::int64_t b = 0; b < s_.batch; ++b) {
        for (std::int64_t i = round; i < s_.spans; ++i) {
          if (reach[static_cast<std::size_t>(b * s_.spans + i)] > i - round) continue;
          for (std::int64_t key = 0; key < s_.keys; ++key) pairs.push_back({b, key, i, i - round});
        }
      }
      auto const make = [&] { return Memory(s_); };
      for_each_unit<T>(static_cast<std::int64_t>(pairs.size()), make,
                       [&](std::int64_t unit, Memory const& memory) { meet(pairs[static_cast<std::size_t>(unit)], memory); });
    }
  }

 private:
  /// A span of the queries of one key head, and a span of its keys.
  struct Pair {
    std::int64_t b, key, queries, keys;
  };

  static constexpr std::int64_t at_once = AttentionTiles::at_once;

  /// Products are of keys by a whole tile of queries, those beyond the last zeros: scores and their gradients lie transposed,
  /// [at_once, tile].
  struct Memory {
    TileMemory<float> score, change;
    TileMemory<T> own_weight, own_change, own_rows;  // the same as operands, where these are of another type
    TileMemory<T> query_columns, query_rows, up_columns, up_rows;
    TileMemory<T> columns, keys;  // the keys of a span, [blocks, H, at_once]
    TileMemory<float> query_change, query_change_rows;  // [H, tile], [tile, H]
    explicit Memory(AttentionTiles const& s)
        : score(at_once * s.tile), change(at_once * s.tile), own_weight(operand(s)), own_change(operand(s)), own_rows(operand(s)),
          query_columns(s.tile * s.size), query_rows(s.tile * s.size), up_columns(s.tile * s.size),
          up_rows(s.tile * s.size), columns(at_once * s.size), keys((s.span + at_once) * s.size), query_change(s.tile * s.size),
          query_change_rows(s.tile * s.size) {}

    static std::int64_t operand(AttentionTiles const& s) { return pair_of<T> == 1 ? 0 : at_once * s.tile; }
    /// Probabilities and gradients of scores as left operands, and these gradients as a right one.
    T* weight() const { return in_place_of(score, own_weight); }
    T* weight_change() const { return in_place_of(change, own_change); }
    T* change_rows() const { return in_place_of(change, own_rows); }
  };

  /// Of each query of a tile: what its softmax has been through, and the keys it sees.
  struct Queries {
    float log_sum[AttentionTiles::largest] = {};
    float along[AttentionTiles::largest] = {};  // the sum over out ⊙ up
    float begin[AttentionTiles::largest] = {}, end[AttentionTiles::largest] = {};  // numbers that the loop compares fastest
  };

  /// Adds to the gradients of a pair's rows. On the diagonal, which comes first and has every row, it sets them.
  void meet(Pair const& pair, Memory const& memory) const {
    auto const b = pair.b, key = pair.key;
    bool const first = pair.queries == pair.keys;
    auto const query_span = s_.span_at(pair.queries), key_span = s_.span_at(pair.keys);
    auto const keys_gradient = s_.head(data_.dk, b, key, s_.keys), values_gradient = s_.head(data_.dv, b, key, s_.keys);
    if (first) {
      clear(keys_gradient, key_span);
      clear(values_gradient, key_span);
    }
    transpose_keys(s_.head(data_.k, b, key, s_.keys), key_span, memory);
    for (auto head = key * s_.group(); head < (key + 1) * s_.group(); ++head) {
      for (auto begin = query_span.begin; begin < query_span.end; begin += s_.tile) {
        meet_tile(b, head, {begin, std::min(begin + s_.tile, query_span.end)}, key_span, first, memory);
      }
    }
  }

  void meet_tile(std::int64_t b, std::int64_t head, Range rows, Range key_span, bool first, Memory const& memory) const {
    auto const size = s_.size, key = head / s_.group(), count = rows.size(), width = s_.tile;
    auto const lowest = std::max(s_.first(b, rows) / at_once * at_once, key_span.begin), end = std::min(rows.end, key_span.end);
    if (lowest >= end) return;
    auto const q = s_.head(data_.q, b, head, s_.heads).from(rows.begin), up = s_.head(data_.up, b, head, s_.heads).from(rows.begin);
    auto const out = s_.head(data_.out, b, head, s_.heads).from(rows.begin);
    auto const k = s_.head(data_.k, b, key, s_.keys), v = s_.head(data_.v, b, key, s_.keys);
    auto const dk = s_.head(data_.dk, b, key, s_.keys), dv = s_.head(data_.dv, b, key, s_.keys);
    Queries queries;
    std::copy_n(data_.log_sums + (b * s_.heads + head) * s_.length + rows.begin, count, queries.log_sum);
    with_vectors([&]() __attribute__((always_inline)) {
      pack_columns<T>(q, count, size, memory.query_columns, width);
      pack_columns<T>(up, count, size, memory.up_columns, width);
      for (auto const& [from, to] : {std::pair<Rows<T const>, T*>{q, memory.query_rows}, {up, memory.up_rows}}) {
        pack_rows<T>(from, count, size, to);
        std::fill(to + whole_pairs<T>(count) * size, to + width * size, T(0.0F));
      }
      for (std::int64_t t = 0; t < count; ++t) {
        auto const *y = out.from(t).data, *dy = up.from(t).data;
        queries.along[t] = lane_sum(size, [=](std::int64_t i) __attribute__((always_inline)) { return widened(y[i]) * widened(dy[i]); });
      }
    });
    for (auto from = lowest; from < end; from += at_once) {
      auto const seen = std::min(at_once, end - from);
      for (std::int64_t t = 0; t < count; ++t) {
        auto const range = s_.seen(b, rows.begin + t, {from, from + seen});
        queries.begin[t] = static_cast<float>(range.begin), queries.end[t] = static_cast<float>(range.end);
      }
      multiply<T>(seen, width, size, k.from(from), memory.query_columns, width, false, {memory.score, width});
      multiply<T>(seen, width, size, v.from(from), memory.up_columns, width, false, {memory.change, width});
      score_gradients(memory, queries, seen, width);
      multiply<T>(seen, size, width, {memory.weight(), width}, memory.up_rows, size, true, dv.from(from));
      multiply<T>(seen, size, width, {memory.weight_change(), width}, memory.query_rows, size, true, dk.from(from));
      multiply<T>(size, width, whole_pairs<T>(seen), {memory.keys + (from - key_span.begin) * size, at_once}, memory.change_rows(), width,
                  from > lowest, {memory.query_change, width});
    }
    add_to_queries(s_.head(data_.dq, b, head, s_.heads).from(rows.begin), memory, count, width, first);
  }

  /// The keys of a span as a left operand: [blocks, H, at_once], zeros beyond the last.
  void transpose_keys(Rows<T const> all, Range span, Memory const& memory) const {
    with_vectors([&, size = s_.size]() __attribute__((always_inline)) {
      for (auto from = span.begin; from < span.end; from += at_once) {
        pack_columns<T>(all.from(from), std::min(at_once, span.end - from), size, memory.columns, at_once);
        unpack_columns<T>(memory.columns, size, at_once, memory.keys + (from - span.begin) * size);
      }
    });
  }

  void clear(Rows<float> rows, Range range) const {
    for (auto t = range.begin; t < range.end; ++t) std::fill_n(rows.from(t).data, s_.size, 0.0F);
  }

  /// From scores and the gradients of probabilities to probabilities and the gradients of scores, 0 where a query does not
  /// see the key.
  void score_gradients(Memory const& memory, Queries const& queries, std::int64_t keys, std::int64_t width) const {
    float *const score = memory.score, *const change = memory.change;
    T *const weight = memory.weight(), *const weight_change = memory.weight_change(), *const change_rows = memory.change_rows();
    float const *const log_sum = queries.log_sum, *const along = queries.along, factor = data_.scale;
    auto const *const begin = queries.begin, *const end = queries.end;
    with_vectors([=]() __attribute__((always_inline)) {
      Exponential const exponential;
      for (std::int64_t j = 0; j < keys; ++j) {
        auto *const x = score + j * width, *const dx = change + j * width;
        auto const at = static_cast<float>(j);
#pragma omp simd
        for (std::int64_t t = 0; t < width; ++t) {
          float const p = exponential(factor * x[t] - log_sum[t]), d = factor * p * (dx[t] - along[t]);
          auto const sees = 0U - static_cast<std::uint32_t>((at >= begin[t]) & (at < end[t]));  // a branch would keep it scalar
          x[t] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) & sees);
          dx[t] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(d) & sees);
        }
        round_to(weight + j * width, x, width);
        round_to(weight_change + j * width, dx, width);
      }
      if constexpr (pair_of<T> != 1) pack_rows<T>({weight_change, width}, keys, width, change_rows);
    });
  }

  /// Adds what a tile's queries have got to their gradients, or sets these.
  void add_to_queries(Rows<float> to, Memory const& memory, std::int64_t count, std::int64_t width, bool first) const {
    float *const columns = memory.query_change, *const rows = memory.query_change_rows;
    with_vectors([=, size = s_.size]() __attribute__((always_inline)) {
      pack_columns<float>({columns, width}, size, count, rows, size);
      for (std::int64_t t = 0; t < count; ++t) {
        auto *const sum = to.from(t).data, *const added = rows + t * size;
        if (first) {
          std::copy_n(added, size, sum);
        } else {
#pragma omp simd
          for (std::int64_t h = 0; h < size; ++h) sum[h] += added[h];
        }
      }
    });
  }

  AttentionTiles const& s_;
  AttentionGradientData<T> const data_;
};

}  // namespace lierne::kernel::detail
