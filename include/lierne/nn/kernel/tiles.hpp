// SPDX-License-Identifier: Apache-2.0
// Float32 tiles of float32 or bfloat16 tensors: a fused pass computes in float32 and rounds once when it stores.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "lierne/tensor/tensor.hpp"

namespace lierne::kernel {

/// Whether the fused passes can take the tensor: float32 or bfloat16 on the CPU. Others take the path through ATen.
inline bool fusible(Tensor const& t) {
  return t.device().is_cpu() && (t.scalar_type() == float32 || t.scalar_type() == bfloat16);
}
/// Whether they can take all of them.
template <class... Tensors>
bool fusible(Tensor const& first, Tensors const&... rest) {
  return (fusible(first) && ... && fusible(rest));
}

[[gnu::always_inline]] inline float widened(at::BFloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.x) << 16);
}
[[gnu::always_inline]] inline float widened(float x) { return x; }

/// The elements of a contiguous tensor as float32.
class Source {
 public:
  explicit Source(Tensor const& t)
      : wide_(t.scalar_type() == float32 ? t.const_data_ptr<float>() : nullptr),
        narrow_(t.scalar_type() == float32 ? nullptr : t.const_data_ptr<at::BFloat16>()) {}

  /// Elements [offset, offset + count), in place or copied to `buffer`.
  [[gnu::always_inline]] float const* tile(std::int64_t offset, std::int64_t count, float* buffer) const {
    if (wide_) return wide_ + offset;
    auto const* from = narrow_ + offset;
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) buffer[i] = widened(from[i]);
    return buffer;
  }

 private:
  float const* wide_;
  at::BFloat16 const* narrow_;
};

/// Rounds to bfloat16: to nearest, ties to even.
[[gnu::always_inline]] inline void round_to(at::BFloat16* to, float const* from, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    auto const bits = std::bit_cast<std::uint32_t>(from[i]);
    auto const rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    to[i].x = static_cast<std::uint16_t>(from[i] != from[i] ? 0x7fc0U : rounded);
  }
}

/// The same for numbers that stay what they are. `to` may be `from`.
[[gnu::always_inline]] inline void round_to(float* to, float const* from, std::int64_t count) {
  if (to != from) std::copy_n(from, count, to);
}

/// A contiguous tensor that takes float32 tiles. Numerics: bfloat16 by `round_to`.
class Sink {
 public:
  explicit Sink(Tensor const& t)
      : wide_(t.scalar_type() == float32 ? t.mutable_data_ptr<float>() : nullptr),
        narrow_(t.scalar_type() == float32 ? nullptr : t.mutable_data_ptr<at::BFloat16>()) {}

  /// Where to write elements from `offset` on: in place or in `buffer`. `store` must follow.
  [[gnu::always_inline]] float* tile(std::int64_t offset, float* buffer) const { return wide_ ? wide_ + offset : buffer; }

  /// Rounds what was written to `tile` unless it is in place.
  [[gnu::always_inline]] void store(std::int64_t offset, std::int64_t count, float const* tile) const {
    if (!wide_) round_to(narrow_ + offset, tile, count);
  }

 private:
  float* wide_;
  at::BFloat16* narrow_;
};

}  // namespace lierne::kernel
