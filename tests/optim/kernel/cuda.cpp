// SPDX-License-Identifier: Apache-2.0
// The driver of CUDA kernels with the threads on the host: bitwise the fused pass. tests/cuda repeats it on a GPU.
#include "lierne/optim/kernel/cuda.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/on_host.hpp"
#include "optim/kernel/rules.hpp"

using namespace lierne;

namespace {

struct Parameter {
  Tensor weight, gradient;
  std::vector<Tensor> fields;
};

Tensor wave(Shape const& shape, Dtype dtype, std::int64_t start) {
  auto tensor = at::empty(shape, at::TensorOptions().dtype(float64));
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data_ptr<double>()[i] = test::wave<double>(start + i);
  return tensor.to(dtype);
}

// Weights of several shapes, dtypes, alignments and ages after some steps.
template <class Rule, class Run>
std::vector<Parameter> after_steps(Rule const& rule, Run const& run) {
  PassesOf<Rule> const passes(rule);
  std::vector<Parameter> parameters;
  std::vector<Shape> const shapes{{3, 5}, {}, {0}, {9001}, {2, 3, 4}, {64, 64}};
  for (auto dtype : {float32, float64}) {
    for (auto const& shape : shapes) {
      auto& parameter = parameters.emplace_back();
      parameter.weight = wave(shape, dtype, 0);
      // One of two lies off the alignment of vectors.
      if (parameters.size() % 2 == 0) parameter.weight = at::cat({parameter.weight.view(-1), at::zeros({1}, dtype)}).roll(1).slice(0, 1).view(shape);
      for (std::size_t k = 0; k < passes.fields().size(); ++k) parameter.fields.push_back(at::zeros_like(parameter.weight));
    }
  }
  for (std::int64_t call = 0; call < 4; ++call) {
    std::vector<std::vector<double>> numbers(2, std::vector<double>(passes.number_count()));
    for (std::int64_t kind : {0, 1}) {
      passes.write_numbers(Call<>{.calls = call * (kind + 1), .rate = 0.01, .factor = 0.5, .norm = 3}, numbers[static_cast<std::size_t>(kind)].data());
    }
    std::vector<ParameterStep> steps;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto& parameter = parameters[i];
      parameter.gradient = wave(parameter.weight.sizes().vec(), parameter.weight.scalar_type(), 31 * call + 7);
      steps.push_back({parameter.weight, parameter.gradient, &parameter.fields, numbers[i % 2].data()});
    }
    run(passes, steps);
  }
  return parameters;
}

void* no_stream(Device) { return nullptr; }

}  // namespace

TEST_CASE("the threads of the kernels do what the fused pass does, bit for bit") {
  test::for_each_rule([](auto const& rule) {
    CAPTURE(name(rule));
    auto const kernels = test::host_rule<std::remove_cvref_t<decltype(rule)>>();
    auto const fused = after_steps(rule, run_fused);
    auto const threads = after_steps(rule, [&](Passes const&, std::span<ParameterStep const> steps) {
      detail::run_cuda(kernels, steps, no_stream);
    });
    REQUIRE(fused.size() == threads.size());
    for (std::size_t i = 0; i < fused.size(); ++i) {
      CAPTURE(i);
      CHECK(at::equal(fused[i].weight, threads[i].weight));
      for (std::size_t k = 0; k < fused[i].fields.size(); ++k) CHECK(at::equal(fused[i].fields[k], threads[i].fields[k]));
    }
  });
}

TEST_CASE("parameters of one dtype share one launch") {
  auto const rule = adamw();
  auto const kernels = test::host_rule<decltype(adamw())>();
  test::host_launches = {};
  after_steps(rule, [&](Passes const&, std::span<ParameterStep const> steps) { detail::run_cuda(kernels, steps, no_stream); });
  CHECK(test::host_launches.launches == 4 * 2);
  CHECK(test::host_launches.parameters == 4 * 2 * 5);  // the empty one has nothing to do
  CHECK(test::host_launches.blocks == 4 * 2 * 6);      // 9001 elements take two
}

TEST_CASE("what CUDA says of a failed launch reaches the user") {
  CudaRule::Run const fails = [](CudaLaunch const&) { return "out of moonshine"; };
  CudaRule const rule{"", fails, fails};
  std::vector<Tensor> fields;
  auto const weight = at::zeros({3}), gradient = at::ones({3});
  std::vector<ParameterStep> const steps{{weight, gradient, &fields, nullptr}};
  CHECK_THROWS_WITH_AS(detail::run_cuda(rule, steps, no_stream),
                       "optimizer: the fused pass on cpu was not launched: out of moonshine", Error);
}
