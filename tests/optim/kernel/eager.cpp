// SPDX-License-Identifier: Apache-2.0
// The loop and foreach paths against the fused one.
#include "lierne/optim/kernel/eager.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/rules.hpp"

using namespace lierne;

namespace {

struct Parameter {
  Tensor weight, gradient;
  std::vector<Tensor> fields;
};

// Weights of several shapes; those at odd positions have been called twice as often.
template <class Rule, class Run>
std::vector<Parameter> after_steps(Rule const& rule, Dtype dtype, Run const& run) {
  PassesOf<Rule> const passes(rule);
  std::vector<Parameter> parameters;
  std::vector<Shape> const shapes{{3, 5}, {}, {0}, {17}, {2, 3, 4}};
  auto const options = at::TensorOptions().dtype(float64);
  for (auto const& shape : shapes) {
    auto const filled = [&](std::int64_t start) {
      auto tensor = at::empty(shape, options);
      for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data_ptr<double>()[i] = test::wave<double>(start + i);
      return tensor.to(dtype);
    };
    parameters.push_back({filled(0), {}, {}});
    for (std::size_t k = 0; k < passes.fields().size(); ++k) parameters.back().fields.push_back(at::zeros_like(parameters.back().weight));
  }
  for (std::int64_t call = 0; call < 12; ++call) {
    std::vector<std::vector<double>> numbers(2, std::vector<double>(passes.number_count()));
    for (std::int64_t kind : {0, 1}) {
      passes.write_numbers(Call<>{.calls = call * (kind + 1), .rate = 0.01, .factor = 0.5, .norm = 3}, numbers[static_cast<std::size_t>(kind)].data());
    }
    std::vector<ParameterStep> steps;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto& parameter = parameters[i];
      parameter.gradient = at::empty_like(parameter.weight);
      for (std::int64_t k = 0; k < parameter.weight.numel(); ++k) parameter.gradient.view(-1)[k] = test::wave<double>(31 * call + k + 7);
      steps.push_back({parameter.weight, parameter.gradient, &parameter.fields, numbers[i % 2].data()});
    }
    run(passes, steps);
  }
  return parameters;
}

double deviation(std::vector<Parameter> const& a, std::vector<Parameter> const& b) {
  double largest = 0;
  auto const take = [&](Tensor const& x, Tensor const& y) {
    if (x.numel() == 0) return;
    auto const away = ((x - y).abs() / y.abs().clamp_min(1)).max().item<double>();
    if (!(away <= largest)) largest = away;
  };
  for (std::size_t i = 0; i < a.size(); ++i) {
    take(a[i].weight, b[i].weight);
    for (std::size_t k = 0; k < a[i].fields.size(); ++k) take(a[i].fields[k], b[i].fields[k]);
  }
  return largest;
}

// A field that is given the weight itself.
struct RemembersWeight {
  using pipe_role = StageRole;
  using fields = Fields<"previous_weight">;
  template <class V>
  static constexpr void element(auto const&, Element<V>& at, V& previous) {
    previous = at.weight;
  }
};

}  // namespace

TEST_CASE("loop = foreach = fused for every rule, parameters of different ages in one step") {
  test::for_each_rule([](auto const& rule) {
    CAPTURE(name(rule));
    for (auto [dtype, bound] : {std::pair{float64, 1e-12}, std::pair{float32, 1e-6}}) {
      auto const fused = after_steps(rule, dtype, run_fused);
      CHECK(deviation(after_steps(rule, dtype, run_loop), fused) <= bound);
      CHECK(deviation(after_steps(rule, dtype, run_foreach), fused) <= bound);
    }
  });
}

TEST_CASE("state shares no memory with the weight") {
  auto const rule = recipe("remembers", 1.0, RemembersWeight{});
  for (auto const& run : {run_loop, run_foreach, run_fused}) {
    PassesOf<std::remove_const_t<decltype(rule)>> const passes(rule);
    Parameter p{at::full({3}, 5.0f), at::ones({3}), {at::zeros({3})}};
    std::vector<double> numbers(passes.number_count());
    passes.write_numbers(Call<>{.rate = 1}, numbers.data());
    std::vector<ParameterStep> const steps{{p.weight, p.gradient, &p.fields, numbers.data()}};
    run(passes, steps);
    CHECK(at::equal(p.weight, at::full({3}, 4.0f)));
    CHECK(at::equal(p.fields[0], at::full({3}, 5.0f)));
  }
}
