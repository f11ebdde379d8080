// SPDX-License-Identifier: Apache-2.0
// One tensor of a parameter in its stored form: read and written by blocks of elements, or as a whole on any device.
#pragma once

#include "lierne/optim/kernel/bf16.hpp"
#include "lierne/optim/kernel/chunks.hpp"
#include "lierne/optim/kernel/eight_bit.hpp"
#include "lierne/optim/kernel/positions.hpp"
#include "lierne/optim/kernel/rounding_bits.hpp"
#include "lierne/optim/kernel/tensor_codec.hpp"
#include "lierne/optim/storage.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

/// A weight, gradient or field as it is stored.
struct StoredTensor {
  Storage form = Storage::plain;
  Tensor data{};                    ///< float32, float64, bfloat16 or uint8
  Tensor beside{};                  ///< 8-bit blocks: magnitudes; Kahan: the compensation; master: the master
  bool with_sign = true;            ///< of 8-bit blocks
  RoundingBits bits{};              ///< of stochastic rounding
};

/// The elements of a stored tensor on the CPU, in blocks that are opened, worked on as numbers of type `T`, and closed.
template <class T>
class StoredArray {
 public:
  static constexpr std::int64_t most = 1024;  ///< elements of a block

  explicit StoredArray(StoredTensor const& tensor)
      : form_(tensor.form), bits_(tensor.bits), map_(tensor.with_sign ? &signed_map : &unsigned_map) {
    if (tensor.data.numel() == 0) return;
    data_ = tensor.data.data_ptr();
    if (tensor.beside.defined()) beside_ = tensor.beside.data_ptr();
  }

  /// The numbers [begin, begin + size) where they lie, or decoded to `room`.
  T* open(Positions const& positions, std::int64_t begin, std::int64_t size, T* room) const {
    if (form_ == Storage::plain) return static_cast<T*>(data_) + begin;
    if constexpr (sizeof(T) == 4) {
      if (form_ == Storage::bf16_with_master) return static_cast<T*>(beside_) + begin;
      decode(positions, begin, size, room);
    } else {
      float values[most];
      decode(positions, begin, size, values);
      std::copy_n(values, size, room);
    }
    return room;
  }

  /// Stores numbers that `open` gave.
  void close(Positions const& positions, std::int64_t begin, std::int64_t size, T const* values) const {
    if (form_ == Storage::plain) return;
    if constexpr (sizeof(T) == 4) {
      encode(positions, begin, size, values);
    } else {
      float rounded[most];
      std::transform(values, values + size, rounded, [](T value) { return static_cast<float>(value); });
      encode(positions, begin, size, rounded);
    }
  }

 private:
  Bf16* halves(std::int64_t begin) const { return static_cast<Bf16*>(data_) + begin; }

  void decode(Positions const& positions, std::int64_t begin, std::int64_t size, float* to) const {
    if (form_ == Storage::bf16_kahan) return decode_pairs(halves(begin), static_cast<Bf16 const*>(beside_) + begin, to, size);
    if (form_ != Storage::eight_bit_blocks) return decode_bf16(halves(begin), to, size);
    for (auto at = begin; at < begin + size;) {
      auto const end = positions.block_end(at);
      decode_eight_bit(*map_, static_cast<std::uint8_t const*>(data_) + at,
                       static_cast<float const*>(beside_)[positions.block_of(at)], to + (at - begin), end - at);
      at = end;
    }
  }

  void encode(Positions const& positions, std::int64_t begin, std::int64_t size, float const* from) const {
    switch (form_) {
      case Storage::plain: return;
      case Storage::bf16_nearest:
      case Storage::bf16_with_master: return encode_bf16(from, halves(begin), size);
      case Storage::bf16_kahan: return encode_pairs(from, halves(begin), static_cast<Bf16*>(beside_) + begin, size);
      case Storage::bf16_stochastic: break;
      case Storage::eight_bit_blocks:
        for (auto at = begin; at < begin + size;) {
          auto const end = positions.block_end(at);
          static_cast<float*>(beside_)[positions.block_of(at)] =
              encode_eight_bit(*map_, from + (at - begin), static_cast<std::uint8_t*>(data_) + at, end - at);
          at = end;
        }
        return;
    }
    constexpr auto group = RoundingBits::group;
    alignas(32) std::uint32_t random[most + 2 * group];
    positions.for_each_run(begin, begin + size, [&](std::int64_t at, std::int64_t index, std::int64_t count) {
      auto const first = index / group, skip = index % group;
      bits_.fill(first, (skip + count + group - 1) / group, random);
      encode_bf16(from + (at - begin), random + skip, halves(at), count);
    });
  }

  Storage form_;
  void* data_ = nullptr;
  void* beside_ = nullptr;
  RoundingBits bits_;
  EightBitMap const* map_;
};

/// Cuts a parameter into pieces of at most `most` elements, and at least a block, that cut no block of a row.
template <class Visit>
void for_each_uncut(Positions const& positions, bool blocks, std::int64_t begin, std::int64_t end, std::int64_t most,
                    Visit const& visit) {
  while (begin < end) {
    auto const next = blocks ? std::min(end, positions.uncut(begin, begin + most)) : std::min(end, begin + most);
    visit(begin, next - begin);
    begin = next;
  }
}

namespace detail {

template <class T>
void for_each_stored_block(StoredTensor const& stored, Positions const& positions, auto const& visit) {
  bool const blocks = stored.form == Storage::eight_bit_blocks;
  std::vector<Chunk> chunks;
  for_each_uncut(positions, blocks, 0, positions.elements(), 16384, [&](std::int64_t begin, std::int64_t size) {
    chunks.push_back({0, begin, size});
  });
  for_each_chunk(chunks, [&](Chunk const& chunk, std::size_t) {
    for_each_uncut(positions, blocks, chunk.begin, chunk.begin + chunk.size, StoredArray<T>::most, visit);
  });
}

template <class T>
Tensor decoded_here(StoredTensor const& stored, Positions const& positions, Tensor const& out) {
  StoredArray<T> const array(stored);
  auto* const to = out.mutable_data_ptr<T>();
  for_each_stored_block<T>(stored, positions, [&](std::int64_t begin, std::int64_t size) {
    array.open(positions, begin, size, to + begin);
  });
  return out;
}

template <class T>
void encode_here(StoredTensor const& stored, Positions const& positions, Tensor const& values) {
  StoredArray<T> const array(stored);
  auto const* const from = values.const_data_ptr<T>();
  for_each_stored_block<T>(stored, positions, [&](std::int64_t begin, std::int64_t size) {
    array.close(positions, begin, size, from + begin);
  });
}

}  // namespace detail

/// The numbers of a stored tensor in `dtype`, float32 or float64. Plain ones, and a master, are given as they are: writing
/// to them writes the stored ones.
inline Tensor decoded(StoredTensor const& stored, Positions const& positions, Dtype dtype) {
  if (stored.form == Storage::plain) return stored.data;
  if (stored.form == Storage::bf16_with_master) return stored.beside;
  if (!stored.data.is_cpu()) {
    switch (stored.form) {
      case Storage::bf16_kahan: return stored.data.to(float32).add(stored.beside.to(float32));
      case Storage::eight_bit_blocks: return decode_eight_bit(stored.data, stored.beside, stored.with_sign).to(dtype);
      default: return stored.data.to(dtype);
    }
  }
  auto const out = at::empty(stored.data.sizes(), stored.data.options().dtype(dtype).requires_grad(false));
  return dtype == float32 ? detail::decoded_here<float>(stored, positions, out)
                          : detail::decoded_here<double>(stored, positions, out);
}

/// Stores numbers, which are contiguous and float32 or float64. Plain tensors stay as they are.
/// Numerics: the same bits on every device.
inline void encode(StoredTensor const& stored, Positions const& positions, Tensor const& values) {
  if (stored.form == Storage::plain || values.numel() == 0) return;
  if (stored.data.is_cpu()) {
    if (values.scalar_type() == float32) return detail::encode_here<float>(stored, positions, values);
    return detail::encode_here<double>(stored, positions, values);
  }
  auto const singles = values.to(float32);
  switch (stored.form) {
    case Storage::plain: return;
    case Storage::bf16_nearest:
    case Storage::bf16_with_master: stored.data.copy_(singles); return;
    case Storage::bf16_stochastic: stored.data.copy_(round_stochastically(singles, positions, stored.bits)); return;
    case Storage::bf16_kahan: {
      stored.data.copy_(singles);
      auto const rest = singles - stored.data.to(float32);
      stored.beside.copy_(at::where(rest.isfinite(), rest, at::zeros_like(rest)));
      return;
    }
    case Storage::eight_bit_blocks: {
      auto const [codes, absmax] = encode_eight_bit(singles, stored.with_sign);
      stored.data.copy_(codes);
      stored.beside.copy_(absmax);
      return;
    }
  }
}

}  // namespace lierne
