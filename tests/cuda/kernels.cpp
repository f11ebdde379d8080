// SPDX-License-Identifier: Apache-2.0
// Rules on a GPU: the kernels against the fused pass of the CPU. Without a GPU nothing here runs, and ctest says so.
#include "cuda/rules.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/bind.hpp"
#include "lierne/optim/kernel/cuda_rule.hpp"

using namespace lierne;

namespace {

bool no_gpu() {
  if (at::hasCUDA()) return false;
  MESSAGE("not run: no GPU");
  return true;
}

template <class Visit>
void for_each_compiled(Visit&& visit) {
  visit(cuda_rules::adamw);
  visit(cuda_rules::amsgrad);
  visit(cuda_rules::qhadamw);
  visit(cuda_rules::adopt);
  visit(cuda_rules::qhadopt);
  visit(cuda_rules::mine);
}

// Parameters of several shapes, dtypes and alignments; the same on every device.
std::vector<Slot> parameters(Device device) {
  std::vector<Slot> slots;
  for (auto dtype : {float32, float64}) {
    auto const options = at::TensorOptions().dtype(dtype);
    for (Shape const& shape : {Shape{33, 65}, Shape{}, Shape{0, 3}, Shape{70001}, Shape{1}}) {
      auto const count = elements(shape);
      auto const buffer = (at::arange(count + 1, options) * 0.37).sin().to(device);
      bool const odd = slots.size() % 2 == 1;  // one element off the alignment of vectors
      auto const weight = odd ? buffer.slice(0, 1) : buffer.slice(0, 0, count);
      slots.push_back({.name = "w" + std::to_string(slots.size()), .weight = weight.view(shape)});
    }
  }
  return slots;
}

void give_gradients(std::vector<Slot>& slots, int step) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    auto const& weight = slots[i].weight;
    if (i == 3 && step < 2) continue;  // joins late
    auto const gradient = (at::arange(weight.numel(), at::TensorOptions().dtype(weight.scalar_type())) * 0.7 + step).cos();
    slots[i].weight.mutable_grad() = gradient.view(weight.sizes()).to(weight.device());
  }
}

}  // namespace

TEST_CASE("every rule of the header has kernels in this program") {
  for_each_compiled([](auto const& rule) { CHECK(find_cuda_rule(typeid(rule).name()) != nullptr); });
  CHECK(find_cuda_rule(typeid(qhadopt()).name()) == nullptr);
}

TEST_CASE("GPU: every rule equals the fused pass of the CPU") {
  if (no_gpu()) return;
  for_each_compiled([](auto const& rule) {
    CAPTURE(name(rule));
    auto here = parameters(at::kCPU), there = parameters(at::kCUDA);
    auto const expected = bind(rule), got = bind(rule, Path::fused_only);
    for (int step = 0; step < 6; ++step) {
      give_gradients(here, step);
      give_gradients(there, step);
      auto const report = expected->step(here, {.step = step, .measure_norm = true});
      // The norm is summed in another order on the GPU; with one norm, the same bits.
      CHECK(got->step(there, {.step = step, .grad_norm = report.grad_norm}).updated == report.updated);
    }
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(at::equal(here[i].weight, there[i].weight.cpu()));
    auto const state = got->state();
    for (auto const& [key, tensor] : expected->state()) CHECK(at::equal(tensor, state.at(key).cpu()));
  });
}

TEST_CASE("GPU: the global norm is that of the CPU to its last digits") {
  if (no_gpu()) return;
  auto here = parameters(at::kCPU), there = parameters(at::kCUDA);
  auto const on_cpu = bind(cuda_rules::adamw), on_gpu = bind(cuda_rules::adamw, Path::fused_only);
  give_gradients(here, 0);
  give_gradients(there, 0);
  auto const expected = on_cpu->step(here, {}).grad_norm;
  CHECK(on_gpu->step(there, {}).grad_norm == doctest::Approx(expected).epsilon(1e-12));
}
