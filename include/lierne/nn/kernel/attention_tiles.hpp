// SPDX-License-Identifier: Apache-2.0
// How an attention on the CPU is cut into tiles: where its heads lie, which keys a tile sees, and who works on it.
#pragma once

#include <algorithm>
#include <atomic>
#include <limits>
#include <vector>

#include "lierne/nn/kernel/block_products.hpp"
#include "lierne/nn/kernel/visible_keys.hpp"
#include "lierne/tensor/parallel_for.hpp"

namespace lierne::kernel::detail {

/// Calls body(unit, scratch) for every unit below `count`, each as soon as a thread is free: what a unit costs depends
/// on the mask. `scratch` is the thread's own, made by `make`. T: the type of the products' operands.
template <class T, class Make, class Body>
void for_each_unit(std::int64_t count, Make const& make, Body const& body) {
  std::atomic<std::int64_t> next{0};
  parallel_for(0, std::min<std::int64_t>(at::get_num_threads(), count), 1, [&](std::int64_t, std::int64_t) {
    auto scratch = make();
    Products<T> const products;
    for (auto unit = next++; unit < count; unit = next++) body(unit, scratch);
  });
}

/// A range of positions.
struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// The sizes of an attention, its cut, and what its rows see. Tiles are the query rows of one product; spans are what
/// one thread takes of the queries, and in the backward pass of the keys. The cut follows from the sizes and the mask alone,
/// never from the number of threads: so do the bits.
class AttentionTiles {
 public:
  static constexpr std::int64_t smallest = 32;   // query rows at a time: few, so that few masked scores are computed,
  static constexpr std::int64_t largest = 128;   // or many where rows are long, so that keys are read less often
  static constexpr std::int64_t scores = 65536;  // of a tile at a time in the forward pass: they stay in the cache
  static constexpr std::int64_t longest = 512;   // span; in the backward pass the keys at a time
  static constexpr std::int64_t shortest = 128;  // span, where few heads would leave threads idle
  static constexpr std::int64_t at_once = 64;    // keys of one product
  static constexpr std::int64_t parts = 16;      // a batch is cut into this many units at least, if spans allow it

  std::int64_t batch, length, heads, keys, size;
  std::int64_t span, spans;
  std::int64_t tile, chunk;  // rows of queries, and keys that the forward pass takes at a time

  AttentionTiles(Tensor const& q, Tensor const& k, Tensor const& first, std::int64_t block)
      : batch(q.size(0)), length(q.size(1)), heads(q.size(2)), keys(k.size(2)), size(q.size(3)),
        span(span_of(batch * keys, length)), spans((length + span - 1) / span), block_(block),
        first_(first.defined() ? first.const_data_ptr<std::int64_t>() : nullptr),
        first_stride_(first.defined() && first.size(0) > 1 ? length : 0) {
    tile = mean_seen() < 512 ? smallest : largest;
    chunk = scores / tile;
  }

  std::int64_t group() const { return heads / keys; }
  /// How many times `at_once` keys cover the sequence.
  std::int64_t key_blocks() const { return (length + at_once - 1) / at_once; }
  template <class T>
  Rows<T> head(T* data, std::int64_t b, std::int64_t head, std::int64_t of) const {
    return {data + (b * length * of + head) * size, of * size};
  }
  /// The first key that query t sees.
  std::int64_t first(std::int64_t b, std::int64_t t) const {
    auto const own = first_ == nullptr ? 0 : first_[b * first_stride_ + t];
    return block_ == 0 ? own : std::max(own, t - t % block_);
  }
  /// The smallest of those of the queries in a range.
  std::int64_t first(std::int64_t b, Range queries) const {
    if (first_ == nullptr) return first(b, queries.begin);
    auto lowest = queries.begin;
    for (auto t = queries.begin; t < queries.end; ++t) lowest = std::min(lowest, first(b, t));
    return lowest;
  }
  Range span_at(std::int64_t i) const { return {i * span, std::min((i + 1) * span, length)}; }
  /// Which of the keys in `chunk` query t sees, counted from the chunk's first.
  Range seen(std::int64_t b, std::int64_t t, Range chunk) const {
    auto const begin = std::clamp(first(b, t), chunk.begin, chunk.end), end = std::clamp(t + 1, begin, chunk.end);
    return {begin - chunk.begin, end - chunk.begin};
  }

 private:
  static std::int64_t span_of(std::int64_t sequences, std::int64_t length) {
    auto const wished = (length * sequences / parts + shortest - 1) / shortest * shortest;
    return std::clamp(wished, shortest, longest);
  }
  /// How many keys a query sees on average.
  std::int64_t mean_seen() const {
    auto const sequences = first_stride_ == 0 ? 1 : batch;
    std::int64_t sum = 0;
    for (std::int64_t b = 0; b < sequences; ++b) {
      for (std::int64_t t = 0; t < length; ++t) sum += t + 1 - first(b, t);
    }
    return sum / std::max<std::int64_t>(sequences * length, 1);
  }

  std::int64_t block_;
  std::int64_t const* first_;
  std::int64_t first_stride_;
};

}  // namespace lierne::kernel::detail
