// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/state_layout.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/soap.hpp"

using namespace lierne;

namespace {

template <class Rule>
StateLayout layout(Rule const& rule) {
  static std::vector<std::unique_ptr<Passes const>> kept;
  return StateLayout(*kept.emplace_back(make_passes(rule)));
}

Slot slot_of(Shape const& shape, Dtype dtype) { return {.name = "w", .weight = at::ones(shape, at::TensorOptions().dtype(dtype))}; }

auto blocks() { return adamw() | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks) | weights_in(bf16_kahan); }

}  // namespace

TEST_CASE("a rule without storage keeps its fields alone") {
  auto const plain = layout(adamw());
  CHECK_FALSE(plain.any());
  CHECK(plain.names == std::vector<std::string>{"exp_avg", "exp_avg_sq"});
  std::vector<Tensor> tensors;
  plain.attach(slot_of({3, 70}, float64), tensors);
  CHECK((tensors.size() == 2 && tensors[1].scalar_type() == float64 && tensors[1].sizes() == at::IntArrayRef({3, 70})));
}

TEST_CASE("each form keeps its tensors in its dtypes") {
  auto const eight = layout(blocks());
  CHECK(eight.any());
  CHECK(eight.names == std::vector<std::string>{"exp_avg", "exp_avg_sq", "exp_avg_absmax", "exp_avg_sq_absmax", "compensation"});
  std::vector<Tensor> tensors;
  eight.attach(slot_of({3, 700}, bfloat16), tensors);
  CHECK((tensors[0].scalar_type() == at::kByte && tensors[0].eq(127).all().item<bool>()));
  CHECK((tensors[1].scalar_type() == at::kByte && tensors[1].eq(0).all().item<bool>()));
  CHECK((tensors[2].scalar_type() == float32 && tensors[2].sizes() == at::IntArrayRef({3, 3})));
  CHECK((tensors[4].scalar_type() == bfloat16 && tensors[4].eq(0).all().item<bool>()));
  std::vector<Tensor> vector;
  eight.attach(slot_of({700}, float32), vector);
  CHECK((vector[0].scalar_type() == float32 && !vector[2].defined() && !vector[4].defined()));

  auto const halves = layout(adamw() | store<"exp_avg">(bf16_stochastic) | weights_in(bf16_with_master));
  CHECK(halves.names.back() == "master");
  std::vector<Tensor> kept;
  auto const slot = slot_of({5}, bfloat16);
  slot.weight.fill_(0.3);
  halves.attach(slot, kept);
  CHECK((kept[0].scalar_type() == bfloat16 && kept[1].scalar_type() == float32 && kept[2].scalar_type() == float32));
  CHECK(kept[2].equal(slot.weight.to(float32)));
}

TEST_CASE("loaded numbers are brought into their form") {
  auto const numbers = (at::arange(2100, at::kDouble) * 12.9898).sin().view({3, 700});
  std::vector<Tensor> tensors{numbers, numbers.square()};
  layout(blocks()).attach(slot_of({3, 700}, float32), tensors);
  CHECK((tensors[0].scalar_type() == at::kByte));
  auto const slot = slot_of({3, 700}, float32);
  auto const eight = layout(blocks());
  for (std::size_t k = 0; k < 2; ++k) {
    auto const back = decoded(eight.field(slot, tensors, k, 0), Positions::of(slot), float32);
    auto const expected = k == 0 ? numbers : numbers.square();
    CHECK((back - expected).abs().max().item<double>() <= 0.0071);
    CHECK((back - expected).abs().max().item<double>() > 0);
  }
  std::vector<Tensor> to_halves{numbers, numbers};
  layout(adamw() | store<"exp_avg">(bf16_nearest)).attach(slot, to_halves);
  CHECK(to_halves[0].equal(numbers.to(float32).to(bfloat16)));
  CHECK(to_halves[1].equal(numbers.to(float32)));
}

TEST_CASE("what a loaded state lacks is what its other tensors ask for") {
  auto const eight = layout(blocks());
  std::vector<Tensor> tensors(5);
  CHECK((eight.expects(0, tensors, false) && !eight.expects(2, tensors, false)));
  tensors[0] = at::zeros({3, 700}, at::kByte);
  tensors[1] = at::zeros({3, 700});
  CHECK((eight.expects(2, tensors, false) && !eight.expects(3, tensors, false)));
  CHECK((eight.expects(4, tensors, false) && !eight.expects(4, tensors, true)));
}

TEST_CASE("fields with shapes of their own keep them, and are not stored otherwise") {
  std::vector<Tensor> tensors;
  auto const rule = soap() | weights_in(bf16_stochastic);
  layout(rule).attach(slot_of({5, 7}, bfloat16), tensors);
  auto const passes = make_passes(rule);
  bool other = false;
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    CHECK(tensors[k].sizes() == at::IntArrayRef(passes->field_shape(k, {5, 7})));
    other |= tensors[k].sizes() != at::IntArrayRef({5, 7});
  }
  CHECK(other);
}

TEST_CASE("states that do not fit are named") {
  auto const refuses = [](StateLayout const& into, std::vector<Tensor> tensors, char const* words) {
    CHECK_THROWS_WITH_AS(into.attach(slot_of({3, 700}, float32), tensors), doctest::Contains(words), ShapeError);
  };
  auto const codes = at::zeros({3, 700}, at::kByte);
  refuses(layout(adamw() | store<"exp_avg_sq">(bf16_nearest)), {codes, Tensor()}, "'optim.state.w.exp_avg': expected floating-point numbers, found Byte (8-bit blocks are loaded by a rule with store");
  refuses(layout(adamw()), {at::zeros({700}), Tensor()}, "expected shape [3, 700], found [700]");
  refuses(layout(blocks()), {codes}, "'optim.state.w.exp_avg': expected magnitudes of its blocks, 'exp_avg_absmax' of Float and shape [3, 3], found none");
  refuses(layout(blocks()), {codes, codes, at::zeros({9})}, "found Float[9]");
  refuses(layout(blocks()), {at::zeros({3, 700}, at::kLong)}, "expected 8-bit blocks or floating-point numbers, found Long");
  refuses(layout(blocks()), {at::zeros({3, 7})}, "expected shape [3, 700], found [3, 7]");
}
