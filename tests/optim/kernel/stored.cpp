// SPDX-License-Identifier: Apache-2.0
// Rules with stored forms: the same bits at every offset, cut and number of threads, by blocks and as whole tensors.
#include "lierne/optim/kernel/stored.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/adamw.hpp"
#include "lierne/optim/adopt.hpp"
#include "lierne/optim/decay.hpp"

using namespace lierne;

namespace {

// Calls visit(rule, dtype of the weight) for rules that together use every form.
template <class Visit>
void for_each_stored_rule(Visit const& visit) {
  auto const base = clip_norm(1) | adamw({.rate = 0.01}) | decay(0.1, times_rate);
  visit(base | store<"exp_avg", "exp_avg_sq">(bf16_stochastic) | weights_in(bf16_stochastic), bfloat16);
  visit(base | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks, {}) | weights_in(bf16_kahan), bfloat16);
  visit(base | store<"exp_avg">(bf16_nearest) | store<"exp_avg_sq">(eight_bit_blocks) | weights_in(bf16_with_master), bfloat16);
  visit(adopt({.rate = 0.01}) | store<"exp_avg_sq">(eight_bit_blocks), float32);
  visit(adopt({.rate = 0.01}) | store<"exp_avg", "exp_avg_sq">(bf16_stochastic) | weights_in(bf16_nearest), bfloat16);
  visit(adopt({.rate = 0.01}) | store<"exp_avg">(eight_bit_blocks) | store<"exp_avg_sq">(bf16_stochastic, {.seed = 5}), float64);
}

Tensor wave(Shape const& shape, int phase) {
  return (at::arange(elements(shape), at::kDouble) * 12.9898 + phase).sin().view(shape);
}

// A parameter after steps of a rule, with its state.
struct Parameter {
  Slot slot;
  std::vector<Tensor> state{};

  Parameter(Shape const& shape, Dtype dtype) : slot{.name = "w", .weight = wave(shape, 0).to(dtype), .shape = shape, .offset = Shape(shape.size(), 0)} {}

  // A copy of a box, `distance` elements behind the start of a buffer.
  Parameter part(Shape const& offset, Shape const& size, std::int64_t distance) const {
    auto copy = *this;
    copy.slot.offset = offset;
    auto value = slot.weight;
    for (std::size_t d = 0; d < size.size(); ++d) value = value.narrow(static_cast<std::int64_t>(d), offset[d], size[d]);
    auto const buffer = at::empty({value.numel() + distance}, value.options());
    copy.slot.weight = buffer.narrow(0, distance, value.numel()).view(size).copy_(value);
    return copy;
  }
  Tensor gradient(int call, std::int64_t distance = 0) const {
    auto const& weight = slot.weight;
    auto const values = (weight.to(float64) * 3 + call).cos().to(weight.scalar_type());
    auto const buffer = at::empty({values.numel() + distance}, values.options());
    return buffer.narrow(0, distance, values.numel()).view(values.sizes()).copy_(values);
  }
};

template <class Rule>
class Steps {
 public:
  explicit Steps(Rule const& rule) : passes_(make_passes(rule)), layout_(*passes_) {}

  // `whole`: by whole tensors through the plain fused pass.
  void operator()(std::vector<Parameter*> const& all, int calls, bool whole = false, std::int64_t distance = 0) const {
    for (int call = 0; call < calls; ++call) {
      std::vector<double> numbers(passes_->number_count());
      passes_->write_numbers({.calls = call, .rate = 0.01, .factor = 0.5, .norm = 3}, numbers.data());
      std::vector<StoredStep> steps;
      for (auto* p : all) {
        if (p->state.empty()) layout_.attach(p->slot, p->state);
        steps.push_back(stored_step(layout_, p->slot, {p->slot.weight, p->gradient(call, distance), &p->state, numbers.data()}, call));
      }
      if (whole) {
        run_decoded(steps, [&](std::vector<ParameterStep> const& plain, std::size_t) { run_fused(*passes_, plain); });
      } else {
        run_fused_stored(*passes_, steps);
      }
    }
  }

 private:
  std::unique_ptr<Passes const> passes_;
  StateLayout layout_;
};

bool same(Parameter const& a, Parameter const& b) {
  bool equal = a.slot.weight.equal(b.slot.weight);
  for (std::size_t k = 0; k < a.state.size(); ++k) {
    equal = equal && (a.state[k].defined() ? a.state[k].equal(b.state[k]) : !b.state[k].defined());
  }
  return equal;
}

// Whether a part equals the box of the whole that it is; blocks lie in rows.
bool same_box(Parameter const& part, Parameter const& whole) {
  auto const box = [&](Tensor value, Tensor const& like, std::int64_t unit) {
    for (std::int64_t d = 0; d < like.dim(); ++d) {
      value = value.narrow(d, part.slot.offset[static_cast<std::size_t>(d)] / (d == 1 ? unit : 1), like.size(d));
    }
    return value;
  };
  bool equal = part.slot.weight.equal(box(whole.slot.weight, part.slot.weight, 1));
  for (std::size_t k = 0; k < part.state.size(); ++k) {
    if (!part.state[k].defined()) continue;
    bool const of_blocks = part.state[k].sizes() != part.slot.weight.sizes();
    equal = equal && part.state[k].equal(box(whole.state[k], part.state[k], of_blocks ? 256 : 1));
  }
  return equal;
}

}  // namespace

TEST_CASE("block by block and as whole tensors: the same bits") {
  for_each_stored_rule([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    Steps const steps(rule);
    for (auto const& shape : {Shape{5, 700}, Shape{90, 64}, Shape{3, 5, 300}, Shape{1300}, Shape{}, Shape{0, 300}}) {
      Parameter blocks(shape, dtype), whole(shape, dtype);
      steps({&blocks}, 4);
      steps({&whole}, 4, true);
      CHECK(same(blocks, whole));
      if (elements(shape) > 0) CHECK_FALSE(blocks.slot.weight.equal(Parameter(shape, dtype).slot.weight));
    }
  });
}

TEST_CASE("any offset in a buffer gives the same bits") {
  for_each_stored_rule([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    Steps const steps(rule);
    Parameter const start({3, 333}, dtype);
    auto expected = start;
    expected.slot.weight = start.slot.weight.clone();
    steps({&expected}, 2);
    for (std::int64_t distance = 0; distance < 64; ++distance) {
      auto moved = start.part({0, 0}, {3, 333}, distance);
      steps({&moved}, 2, false, distance);
      CHECK(same(moved, expected));
    }
  });
}

TEST_CASE("any cut into one to eight parts gives the same bits") {
  for_each_stored_rule([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    Steps const steps(rule);
    for (auto const& shape : {Shape{11, 333}, Shape{11, 3, 111}, Shape{999}}) {
      Parameter const start(shape, dtype);
      auto expected = start;
      expected.slot.weight = start.slot.weight.clone();
      steps({&expected}, 3);
      for (std::int64_t parts = 1; parts <= 8; ++parts) {
        auto const n = (shape[0] + parts - 1) / parts;
        std::vector<Parameter> all;
        for (std::int64_t i = 0; i < parts; ++i) {
          Shape offset(shape.size(), 0), size = shape;
          offset[0] = std::min(shape[0], i * n);
          size[0] = std::min(shape[0], offset[0] + n) - offset[0];
          all.push_back(start.part(offset, size, i));
        }
        std::vector<Parameter*> pointers;
        for (auto& part : all) pointers.push_back(&part);
        steps(pointers, 3);
        for (auto const& part : all) CHECK(same_box(part, expected));
      }
    }
  });
}

TEST_CASE("cuts along the second dimension give the same bits, blocks at multiples of 256") {
  for_each_stored_rule([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    Steps const steps(rule);
    Parameter const start({6, 900}, dtype);
    auto expected = start;
    expected.slot.weight = start.slot.weight.clone();
    steps({&expected}, 3);
    for (auto const& [offset, size] : {std::pair(Shape{0, 0}, Shape{6, 512}), std::pair(Shape{2, 256}, Shape{3, 512}), std::pair(Shape{0, 768}, Shape{6, 132})}) {
      auto part = start.part(offset, size, 3);
      steps({&part}, 3);
      CHECK(same_box(part, expected));
    }
  });
}

TEST_CASE("any number of threads gives the same bits, for large and small parameters together") {
  for_each_stored_rule([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    Steps const steps(rule);
    auto const run = [&](int threads) {
      at::set_num_threads(threads);
      std::vector<Parameter> all;
      for (auto const& shape : {Shape{300, 1001}, Shape{1}, Shape{64}, Shape{40, 2500}, Shape{7}}) all.emplace_back(shape, dtype);
      std::vector<Parameter*> pointers;
      for (auto& parameter : all) pointers.push_back(&parameter);
      steps(pointers, 1);
      return all;
    };
    auto const threads = at::get_num_threads();
    auto const alone = run(1), together = run(2);
    at::set_num_threads(threads);
    for (std::size_t i = 0; i < alone.size(); ++i) CHECK(same(alone[i], together[i]));
  });
}
