// SPDX-License-Identifier: Apache-2.0
// Rules on a GPU: the kernels against the fused pass of the CPU. Without a GPU nothing here runs, and ctest says so.
#include "cuda/rules.hpp"

#include <doctest/doctest.h>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>

#include "lierne/optim/bind.hpp"
#include "lierne/optim/capturable_optimizer.hpp"
#include "lierne/optim/kernel/cuda_rule.hpp"

using namespace lierne;

namespace {

bool no_gpu() {
  if (at::hasCUDA()) return false;
  MESSAGE("not run: no GPU");
  return true;
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
  cuda_rules::for_each([](char const*, auto const& rule) { CHECK(find_cuda_rule(typeid(rule).name()) != nullptr); });
  CHECK(find_cuda_rule(typeid(qhadopt()).name()) == nullptr);
}

TEST_CASE("GPU: every rule equals the fused pass of the CPU") {
  if (no_gpu()) return;
  cuda_rules::for_each([](char const*, auto const& rule) {
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

TEST_CASE("GPU: a captured step, replayed 100 times, is 100 steps") {
  if (no_gpu()) return;
  cuda_rules::for_each([](char const*, auto const& rule) {
    CAPTURE(name(rule));
    auto const scheduled_rule = scheduled(rule, [](std::int64_t step, std::int64_t) { return 1.0 / static_cast<double>(step + 1); });
    auto here = parameters(at::kCUDA), there = parameters(at::kCUDA);
    auto const direct = bind_capturable(scheduled_rule), captured = bind_capturable(scheduled_rule);
    // The gradient lies in memory of its own, which each replay reads again; it changes with the weight.
    auto const backward = [](std::vector<Slot>& slots) {
      for (auto& slot : slots) slot.weight.mutable_grad() = (slot.weight * 3).cos();
    };
    c10::cuda::CUDAStreamGuard const stream(c10::cuda::getStreamFromPool());
    backward(here);
    backward(there);
    direct->step(here, {});
    captured->step(there, {});
    at::cuda::CUDAGraph graph;
    graph.capture_begin();
    backward(there);
    captured->step(there, {.step = 1});
    graph.capture_end();
    for (std::int64_t step = 1; step <= 100; ++step) {
      backward(here);
      direct->step(here, {.step = step});
      captured->set_step({.step = step});
      graph.replay();
    }
    for (std::size_t i = 0; i < here.size(); ++i) CHECK(at::equal(here[i].weight, there[i].weight));
    CHECK(at::equal(captured->state().at("optim.state.w0.step"), at::full({}, 101.0f)));
    CHECK_FALSE(at::equal(here[0].weight, parameters(at::kCUDA)[0].weight));
  });
}

TEST_CASE("GPU: numbers written on the device give the CPU's weights within bounds") {
  if (no_gpu()) return;
  cuda_rules::for_each([](char const*, auto const& rule) {
    CAPTURE(name(rule));
    auto here = parameters(at::kCPU), there = parameters(at::kCUDA);
    auto const expected = bind(rule);
    auto const got = bind_capturable(rule);
    for (int step = 0; step < 20; ++step) {
      give_gradients(here, step);
      give_gradients(there, step);
      expected->step(here, {.step = step});
      got->step(there, {.step = step});
    }
    for (std::size_t i = 0; i < here.size(); ++i) {
      auto const bound = here[i].weight.scalar_type() == float32 ? 4e-6 : 1e-14;  // those of the trajectories
      if (here[i].weight.numel() == 0) continue;
      auto const away = (here[i].weight - there[i].weight.cpu()).abs().max() / here[i].weight.abs().max().clamp_min(1);
      CHECK(away.item<double>() <= bound);
    }
  });
}
