// SPDX-License-Identifier: Apache-2.0
// The codecs of stored numbers by ATen's operations, for devices other than the CPU. The same bits as there.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/optim/kernel/eight_bit.hpp"
#include "lierne/optim/kernel/positions.hpp"
#include "lierne/optim/kernel/rounding_bits.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

namespace detail {

// The index of every element in the whole parameter.
inline Tensor global_indices(Positions const& positions, Device device) {
  auto const options = at::TensorOptions().dtype(int64).device(device);
  auto const& size = positions.size();
  auto indices = at::zeros(size, options);
  std::int64_t stride = 1;
  for (std::size_t d = size.size(); d-- > 0; stride *= positions.whole()[d]) {
    Shape along(size.size(), 1);
    along[d] = size[d];
    indices = indices + ((at::arange(size[d], options) + positions.offset()[d]) * stride).view(along);
  }
  return indices;
}

// `RoundingBits` of every element, in int64, which holds products of 32 bits modulo 2^64.
inline Tensor rounding_bits(Positions const& positions, RoundingBits const& bits, Device device) {
  constexpr std::int64_t mask = 0xffffffff;
  auto const index = global_indices(positions, device);
  auto const block = index.div(64, "floor") * 8 + index.remainder(8);
  auto const word = [](std::uint64_t x) { return static_cast<std::int64_t>(x & mask); };
  auto const low = [](Tensor const& x) { return x.bitwise_and(mask); };
  auto const high = [](Tensor const& x) { return x.bitwise_right_shift(32).bitwise_and(mask); };
  auto const& random = bits.random;
  std::array<Tensor, 4> counter{low(block), high(block), at::full_like(block, word(random.stream)),
                                at::full_like(block, word(random.stream >> 32))};
  auto key0 = static_cast<std::uint32_t>(random.seed), key1 = static_cast<std::uint32_t>(random.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    auto const a = counter[0] * std::int64_t{0xd2511f53}, b = counter[2] * std::int64_t{0xcd9e8d57};
    counter = {high(b).bitwise_xor(counter[1]).bitwise_xor(word(key0)), low(b),
               high(a).bitwise_xor(counter[3]).bitwise_xor(word(key1)), low(a)};
    key0 += 0x9e3779b9U;
    key1 += 0xbb67ae85U;
  }
  auto const slice = index.div(8, "floor").remainder(8);
  auto const words = at::stack({counter[0], counter[1], counter[2], counter[3]});
  auto const chosen = words.gather(0, slice.div(2, "floor").unsqueeze(0)).squeeze(0);
  return at::where(slice.remainder(2).eq(0), chosen, chosen.bitwise_right_shift(16)).bitwise_and(0xffff);
}

inline Tensor table(void const* values, Dtype dtype, std::int64_t size, Device device) {
  return at::from_blob(const_cast<void*>(values), {size}, at::TensorOptions().dtype(dtype)).to(device, false, true);
}

// The rows of dimension 0 in blocks, [rows, blocks, 256], filled up with zeros.
inline Tensor in_blocks(Tensor const& values) {
  auto const rows = values.size(0), row = values.numel() / std::max<std::int64_t>(1, rows);
  auto const blocks = (row + EightBitMap::block - 1) / EightBitMap::block;
  auto const padded = at::constant_pad_nd(values.reshape({rows, row}), {0, blocks * EightBitMap::block - row}, 0);
  return padded.view({rows, blocks, EightBitMap::block});
}
inline Tensor out_of_blocks(Tensor const& blocks, at::IntArrayRef shape) {
  auto const rows = blocks.size(0);
  return blocks.reshape({rows, -1}).narrow(1, 0, c10::multiply_integers(shape.slice(1))).reshape(shape);
}

}  // namespace detail

/// float32 rounded to bfloat16 as `to_bf16(value, random)` does it.
inline Tensor round_stochastically(Tensor const& values, Positions const& positions, RoundingBits const& bits) {
  auto const random = detail::rounding_bits(positions, bits, values.device()).to(at::kInt);
  auto const sum = values.contiguous().view(at::kInt).add(random).bitwise_and(static_cast<std::int64_t>(0xffff0000 - 0x100000000));
  return at::where(values.isnan(), values, sum.view(float32)).to(bfloat16);
}

/// Codes and magnitudes, [rows, blocks], of float32 numbers with rows along dimension 0; as `encode_eight_bit` of a block.
inline std::pair<Tensor, Tensor> encode_eight_bit(Tensor const& values, bool with_sign) {
  auto const& map = with_sign ? signed_map : unsigned_map;
  auto const device = values.device();
  auto const blocks = detail::in_blocks(values);
  auto absmax = blocks.abs().amax(-1);
  absmax = at::where(absmax.isfinite(), absmax, at::full({}, std::nanf(""), absmax.options()));
  auto const scale = absmax.unsqueeze(-1);
  auto const x = at::where(scale.gt(0), blocks / scale, at::zeros_like(blocks));
  auto const magnitude = x.abs();
  auto decade = at::zeros_like(x, at::kLong);
  for (int i = 0; i < 7; ++i) decade = decade + magnitude.ge(map.starts[i]).to(int64);
  auto const of_decade = [&](void const* values, Dtype dtype) { return detail::table(values, dtype, 8, device).index({decade}); };
  auto const bin = ((magnitude - of_decade(map.low, float32)) * of_decade(map.scale, float32)).to(at::kInt);
  auto position = of_decade(map.base, at::kInt) + at::minimum(bin, of_decade(map.last, at::kInt)) +
                  magnitude.ge(map.starts[7]).to(at::kInt);
  auto const negative = x.lt(0);
  if (with_sign) {
    position = at::where(negative, map.zero - position.clamp_max(127), map.zero + position);
  } else {
    position = at::where(negative, 0, at::maximum(position, x.gt(0).to(at::kInt)));
  }
  return {detail::out_of_blocks(position.to(at::kByte), values.sizes()), absmax};
}

/// The numbers of codes, in float32.
inline Tensor decode_eight_bit(Tensor const& codes, Tensor const& absmax, bool with_sign) {
  auto const& map = with_sign ? signed_map : unsigned_map;
  auto const values = detail::table(map.values, float32, 256, codes.device()).index({codes.to(int64)});
  return detail::out_of_blocks(detail::in_blocks(values) * absmax.unsqueeze(-1), codes.sizes()).contiguous();
}

}  // namespace lierne
