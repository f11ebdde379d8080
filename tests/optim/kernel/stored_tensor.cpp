// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/stored_tensor.hpp"

#include <doctest/doctest.h>

using namespace lierne;

namespace {

constexpr Storage forms[] = {Storage::plain, Storage::bf16_nearest, Storage::bf16_stochastic, Storage::eight_bit_blocks,
                             Storage::bf16_kahan, Storage::bf16_with_master};

Tensor wave(Shape const& shape, Dtype dtype) {
  return (at::arange(elements(shape), at::kDouble) * 12.9898 + 4.1).sin().view(shape).to(dtype);
}

StoredTensor stored(Storage form, Shape const& shape, Positions const& positions, Dtype dtype) {
  auto const halves = at::zeros(shape, at::kBFloat16);
  switch (form) {
    case Storage::plain: return {.data = at::zeros(shape, dtype)};
    case Storage::eight_bit_blocks:
      return {.form = form, .data = at::zeros(shape, at::kByte), .beside = at::zeros({positions.rows(), positions.blocks_in_row()})};
    case Storage::bf16_kahan: return {.form = form, .data = halves, .beside = halves.clone()};
    case Storage::bf16_with_master: return {.form = form, .data = halves, .beside = at::zeros(shape)};
    default: return {.form = form, .data = halves, .bits = RoundingBits::of(3, "w", 4)};
  }
}

}  // namespace

TEST_CASE("what is written is read back, within the form's precision") {
  for (auto const form : forms) {
    CAPTURE(to_string(form));
    for (auto const dtype : {float32, float64}) {
      if (dtype == float64 && (form == Storage::bf16_kahan || form == Storage::bf16_with_master)) continue;  // of weights
      Slot const slot{.name = "w", .weight = wave({83, 300}, dtype)};
      auto const positions = Positions::of(slot);
      auto const tensor = stored(form, {83, 300}, positions, dtype);
      auto const values = slot.weight;
      if (form == Storage::plain) tensor.data.copy_(values);
      if (form == Storage::bf16_with_master) tensor.beside.copy_(values);
      encode(tensor, positions, values);
      auto const back = decoded(tensor, positions, dtype);
      REQUIRE((back.scalar_type() == dtype));
      auto const worst = ((back - values).abs() / (values.abs() + (form == Storage::eight_bit_blocks ? 0.1 : 0))).max().item<double>();
      CHECK(worst <= (form == Storage::plain || form == Storage::bf16_with_master ? 0
                      : form == Storage::eight_bit_blocks ? 0.04
                      : form == Storage::bf16_kahan ? 0x1p-17
                      : form == Storage::bf16_nearest ? 0x1p-8 : 0x1p-7));
      if (form == Storage::bf16_nearest || form == Storage::bf16_with_master || form == Storage::bf16_kahan) {
        CHECK(tensor.data.equal(values.to(float32).to(at::kBFloat16)));
      }
    }
  }
}

TEST_CASE("blocks of an array give what the whole tensor gives") {
  for (auto const form : forms) {
    if (form == Storage::plain) continue;
    CAPTURE(to_string(form));
    Slot const slot{.name = "w", .weight = wave({7, 300}, float32)};
    auto const positions = Positions::of(slot);
    auto const whole = stored(form, {7, 300}, positions, float32), blocks = stored(form, {7, 300}, positions, float32);
    encode(whole, positions, slot.weight);
    if (form == Storage::bf16_with_master) whole.beside.copy_(slot.weight);
    StoredArray<float> const array(blocks);
    float room[StoredArray<float>::most];
    for_each_uncut(positions, true, 0, 2100, 700, [&](std::int64_t begin, std::int64_t size) {
      auto* const open = array.open(positions, begin, size, room);
      std::copy_n(slot.weight.const_data_ptr<float>() + begin, size, open);
      array.close(positions, begin, size, open);
    });
    CHECK(whole.data.equal(blocks.data));
    if (whole.beside.defined()) CHECK(whole.beside.equal(blocks.beside));
  }
}
