// SPDX-License-Identifier: Apache-2.0
// How an attention on the CPU is cut into tiles: where its heads lie, which keys a tile sees, and who works on it.
#pragma once

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <vector>

#include "lierne/nn/kernel/visible_keys.hpp"
#include "lierne/tensor/operations.hpp"
#include "lierne/tensor/parallel_for.hpp"

// The product of the BLAS inside LibTorch. Weak: a LibTorch that hides it runs through SDPA.
extern "C" [[gnu::weak]] void sgemm_(char const* transpose_a, char const* transpose_b, int const* m, int const* n,
                                     int const* k, float const* alpha, float const* a, int const* lda, float const* b,
                                     int const* ldb, float const* beta, float* c, int const* ldc);

namespace lierne::kernel::detail {

/// A matrix in row-major order whose rows lie `stride` apart.
template <class T>
struct Rows {
  T* data;
  std::int64_t stride;
  Rows<T> from(std::int64_t row) const { return {data + row * stride, stride}; }
};

/// c = alpha · op(a) op(b) + beta · c, where c is [m, n] and the inner size is k. In column-major order, which BLAS
/// speaks, each matrix is its own transpose, so the operands change places.
inline void multiply(std::int64_t m, std::int64_t n, std::int64_t k, float alpha, Rows<float const> a, bool transpose_a,
                     Rows<float const> b, bool transpose_b, float beta, Rows<float> c) {
  int const rows = static_cast<int>(m), columns = static_cast<int>(n), inner = static_cast<int>(k);
  int const lda = static_cast<int>(a.stride), ldb = static_cast<int>(b.stride), ldc = static_cast<int>(c.stride);
  sgemm_(transpose_b ? "T" : "N", transpose_a ? "T" : "N", &columns, &rows, &inner, &alpha, b.data, &ldb, a.data, &lda,
         &beta, c.data, &ldc);
}

/// Calls body(unit, scratch) for every unit below `count`, each as soon as a thread is free: what a unit costs depends
/// on the mask. `scratch` are `floats` numbers of the thread's own, with any values. Always inside a parallel region
/// where there are threads, so that the BLAS computes each product on one of them, with the same bits.
template <class Body>
void for_each_unit(std::int64_t count, std::int64_t floats, Body const& body) {
  std::atomic<std::int64_t> next{0};
  parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t, std::int64_t) {
    auto const scratch = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(floats));
    for (auto unit = next++; unit < count; unit = next++) body(unit, scratch.get());
  });
}

/// A range of positions.
struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// The sizes of an attention, its cut, and what its rows see. Tiles are the query rows of one product; spans are what
/// one thread takes of the queries, and in the backward pass of the keys. The cut follows from the sizes alone, never
/// from the number of threads: so do the bits.
class AttentionTiles {
 public:
  static constexpr std::int64_t smallest = 32;   // query rows at a time: few, so that few masked scores are computed,
  static constexpr std::int64_t largest = 128;   // or many where rows are long, so that products are quick
  static constexpr std::int64_t scores = 65536;  // of a tile at a time in the forward pass: they stay in the cache
  static constexpr std::int64_t longest = 512;   // span; in the backward pass the keys at a time
  static constexpr std::int64_t shortest = 128;  // span, where few heads would leave threads idle
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
