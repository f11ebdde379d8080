// SPDX-License-Identifier: Apache-2.0
// The codecs of other devices, run on the CPU, against those of the CPU.
#include "lierne/optim/kernel/tensor_codec.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "lierne/optim/kernel/stored_tensor.hpp"

using namespace lierne;

namespace {

Tensor wave(Shape const& shape) {
  auto const i = at::arange(elements(shape), at::kDouble);
  return ((12.9898 * i + 4.1).sin() * at::pow(10, 3 * (78.233 * i).sin())).to(float32).view(shape);
}

Slot part(Shape whole, Shape offset, Shape size) {
  return {.name = "w", .weight = wave(size), .shape = std::move(whole), .offset = std::move(offset)};
}

bool same(Tensor const& a, Tensor const& b) { return a.equal(b) || (a.isnan().equal(b.isnan()) && a.nan_to_num().equal(b.nan_to_num())); }

}  // namespace

TEST_CASE("stochastic rounding has the bits of the loop, wherever a part lies") {
  for (auto const& slot : {part({7, 300}, {2, 0}, {4, 300}), part({7, 300}, {0, 13}, {7, 211}), part({41}, {0}, {41}), part({}, {}, {})}) {
    auto const positions = Positions::of(slot);
    auto const bits = RoundingBits::of(0x1234567890abcdefU, "w.exp_avg", 11);
    auto values = slot.weight.clone();
    if (values.numel() > 40) {
      values.view({-1})[3] = std::numeric_limits<float>::infinity();
      values.view({-1})[5] = std::nanf("");
      values.view({-1})[6] = std::numeric_limits<float>::max();
    }
    StoredTensor const stored{.form = Storage::bf16_stochastic, .data = at::zeros_like(values, at::kBFloat16), .bits = bits};
    encode(stored, positions, values);
    CHECK(same(round_stochastically(values, positions, bits), stored.data));
    if (values.numel() > 40) CHECK_FALSE(same(values.to(bfloat16), stored.data));
  }
}

TEST_CASE("8-bit blocks have the codes and magnitudes of the loop") {
  for (bool const with_sign : {true, false}) {
    for (auto const& shape : {Shape{3, 700}, Shape{2, 256}, Shape{5, 4, 20}, Shape{0, 300}}) {
      auto const slot = part(shape, Shape(shape.size(), 0), shape);
      auto const positions = Positions::of(slot);
      auto values = with_sign ? slot.weight : slot.weight.square();
      if (shape[0] == 3) {
        values[0].narrow(0, 256, 256).zero_();
        values[1][300] = std::nanf("");
        values[2][3] = std::numeric_limits<float>::infinity();
        values[2][690] = with_sign ? -2e30f : 2e30f;
      }
      StoredTensor const stored{.form = Storage::eight_bit_blocks,
                                .data = at::full_like(values, 7, at::kByte),
                                .beside = at::zeros({positions.rows(), positions.blocks_in_row()}),
                                .with_sign = with_sign};
      encode(stored, positions, values);
      if (shape[0] == 0) continue;
      auto const [codes, absmax] = encode_eight_bit(values, with_sign);
      CHECK(codes.equal(stored.data));
      CHECK(same(absmax, stored.beside));
      CHECK(same(decode_eight_bit(codes, absmax, with_sign), decoded(stored, positions, float32)));
    }
  }
}
