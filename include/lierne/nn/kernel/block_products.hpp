// SPDX-License-Identifier: Apache-2.0
// Products of small blocks by oneDNN inside LibTorch, on the thread that calls, and the operands that these take.
#pragma once

#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <type_traits>

#include "lierne/nn/kernel/tiles.hpp"
#include "lierne/tensor/operations.hpp"

// A product c = a b reads a [m, k] by rows, and of b [k, n] the rows in pairs where elements are of 16 bits: [k/2, n, 2].
// Such an operand is made of 32-bit units, [k/pair, n], whatever the type.

namespace lierne::kernel::detail {

/// A matrix in row-major order whose rows lie `stride` apart.
template <class T>
struct Rows {
  T* data;
  std::int64_t stride;
  Rows<T> from(std::int64_t row) const { return {data + row * stride, stride}; }
};

/// Memory for a tile, with any values, from a border of cache lines on.
template <class T>
class TileMemory {
 public:
  // The C library's own aligned allocation would not find a freed block of the same size again at once.
  explicit TileMemory(std::int64_t count)
      : all_(std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(count) * sizeof(T) + line)) {
    auto const bytes = static_cast<std::size_t>(count) * sizeof(T);
    void* at = all_.get();
    auto space = bytes + line;
    data_ = static_cast<T*>(std::align(line, bytes, at, space));
  }
  operator T*() const { return data_; }  // NOLINT: it is that memory

 private:
  static constexpr std::size_t line = 64;
  std::unique_ptr<std::byte[]> all_;
  T* data_;
};

/// How many rows of a right operand lie together.
template <class T>
inline constexpr std::int64_t pair_of = std::is_same_v<T, float> ? 1 : 2;
/// `count` rounded up to whole pairs.
template <class T>
constexpr std::int64_t whole_pairs(std::int64_t count) {
  return (count + pair_of<T> - 1) / pair_of<T> * pair_of<T>;
}

/// Where operands made of `numbers` lie: there, if they are of that type, and otherwise in `own`.
template <class T>
T* in_place_of(TileMemory<float> const& numbers, TileMemory<T> const& own) {
  if constexpr (pair_of<T> == 1) {
    return numbers;
  } else {
    return own;
  }
}

/// c = a b, or c += a b: c is [m, n] and the inner size k a whole number of pairs. `b` as the functions below make it,
/// with `columns` elements a row. On the calling thread.
template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, Rows<T const> a, T const* b, std::int64_t columns, bool add,
              Rows<float> c) {
  at::native::cpublas::brgemm(m, n, k, a.stride, columns, c.stride, add, a.data, b, c.data, pair_of<T> == 2);
}
/// To stand in a thread that multiplies, until it has: some processors keep a state for such products.
template <class T>
struct Products {
  Products() = default;
  Products(Products const&) = delete;
  Products& operator=(Products const&) = delete;
  ~Products() { at::native::cpublas::brgemm_release(pair_of<T> == 2); }
};
/// Whether LibTorch and the processor have such products, and oneDNN is not turned off.
template <class T>
bool has_block_products() {
  static bool const has = [] {
    alignas(64) T a[64] = {}, b[64] = {};
    alignas(64) float c[16] = {};
    try {
      Products<T> const products;
      multiply<T>(2, 8, 8, {a, 8}, b, 8, false, {c, 8});
      return true;
    } catch (std::exception const&) {
      return false;
    }
  }();
  return has && at::globalContext().userEnabledMkldnn();
}

// Written out wherever it is used: `auto` would lose that it may be any type's memory, at any place.
using Unit [[gnu::may_alias, gnu::aligned(2)]] = std::uint32_t;
typedef std::uint32_t Units [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(2)]];

/// to[j][i] = from[i][j] for eight by eight units; strides in units.
[[gnu::always_inline]] inline void transpose_units(Unit const* from, std::int64_t from_stride, Unit* to, std::int64_t to_stride) {
  Units row[8], two[8], four[8];
  for (int i = 0; i < 8; ++i) row[i] = *reinterpret_cast<Units const*>(from + i * from_stride);
  for (int i = 0; i < 8; i += 2) {
    two[i] = __builtin_shufflevector(row[i], row[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    two[i + 1] = __builtin_shufflevector(row[i], row[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; ++j) {
      four[i + 2 * j] = __builtin_shufflevector(two[i + j], two[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      four[i + 2 * j + 1] = __builtin_shufflevector(two[i + j], two[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int j = 0; j < 4; ++j) {
    *reinterpret_cast<Units*>(to + j * to_stride) = __builtin_shufflevector(four[j], four[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *reinterpret_cast<Units*>(to + (j + 4) * to_stride) =
        __builtin_shufflevector(four[j], four[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

/// The right operand xᵀ of x [rows, size], whose size is a whole number of pairs: [size/pair, columns, pair]. Columns
/// beyond the rows are zeros.
template <class T>
[[gnu::always_inline]] inline void pack_columns(Rows<T const> x, std::int64_t rows, std::int64_t size, T* to,
                                                std::int64_t columns) {
  Unit const* const from = reinterpret_cast<Unit const*>(x.data);
  Unit* const out = reinterpret_cast<Unit*>(to);
  auto const stride = x.stride / pair_of<T>, units = size / pair_of<T>;
  auto const whole_rows = rows / 8 * 8, whole_units = units / 8 * 8;
  for (std::int64_t i = 0; i < whole_rows; i += 8) {
    for (std::int64_t j = 0; j < whole_units; j += 8) transpose_units(from + i * stride + j, stride, out + j * columns + i, columns);
  }
  for (std::int64_t j = 0; j < units; ++j) {
    for (auto i = j < whole_units ? whole_rows : 0; i < rows; ++i) out[j * columns + i] = from[i * stride + j];
    for (auto i = rows; i < columns; ++i) out[j * columns + i] = 0;
  }
}

/// The right operand x of x [rows, size]: [whole pairs of rows/pair, size, pair]. A row that a pair lacks is zeros.
template <class T>
[[gnu::always_inline]] inline void pack_rows(Rows<T const> x, std::int64_t rows, std::int64_t size, T* to) {
  if constexpr (pair_of<T> == 1) {
    for (std::int64_t i = 0; i < rows; ++i) std::memcpy(to + i * size, x.from(i).data, static_cast<std::size_t>(size) * sizeof(T));
  } else {
    Unit* out = reinterpret_cast<Unit*>(to);
    for (std::int64_t i = 0; i < rows; i += 2, out += size) {
      auto const* const low = x.from(i).data;
      if (i + 1 == rows) {
        for (std::int64_t h = 0; h < size; ++h) out[h] = low[h].x;
        return;
      }
      auto const* const high = x.from(i + 1).data;
#pragma omp simd
      for (std::int64_t h = 0; h < size; ++h) out[h] = low[h].x | static_cast<std::uint32_t>(high[h].x) << 16;
    }
  }
}

/// xᵀ by rows, [size, columns], of the operand that `pack_columns` has made of x.
template <class T>
[[gnu::always_inline]] inline void unpack_columns(T const* packed, std::int64_t size, std::int64_t columns, T* to) {
  if constexpr (pair_of<T> == 1) {
    std::memcpy(to, packed, static_cast<std::size_t>(size * columns) * sizeof(T));
  } else {
    Unit const* units = reinterpret_cast<Unit const*>(packed);
    for (std::int64_t h = 0; h < size; h += 2, units += columns) {
      auto *const low = to + h * columns, *const high = low + columns;
#pragma omp simd
      for (std::int64_t i = 0; i < columns; ++i) {
        low[i].x = static_cast<std::uint16_t>(units[i]);
        high[i].x = static_cast<std::uint16_t>(units[i] >> 16);
      }
    }
  }
}

}  // namespace lierne::kernel::detail
