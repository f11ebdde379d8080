// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/monitored.hpp"

#include <doctest/doctest.h>

#include "rules.hpp"

using namespace lierne;

static_assert(std::same_as<decltype(detail::without_monitor(adamw() | monitor())), decltype(adamw())>);
static_assert(std::same_as<decltype(detail::without_monitor(adamw() | monitor() | decay(0.1, times_rate))),
                           decltype(adamw() | decay(0.1, times_rate))>);
static_assert(std::same_as<decltype(detail::without_monitor(adamw() | (monitor() | monitor()))), decltype(adamw())>);

TEST_CASE("between measured steps a rule with a monitor runs the passes of the rule without it") {
  test::for_each_rule([](auto const& rule) {
    using Own = PassesOf<std::remove_cvref_t<decltype(rule)>>;
    auto const plain = make_passes(rule), monitored = make_passes(rule | monitor());
    // Nothing that runs or writes numbers is overridden, so these are the functions that an unmonitored step calls.
    CHECK(typeid(*plain) == typeid(Own));
    CHECK(dynamic_cast<Own const*>(monitored.get()) != nullptr);
    CHECK(monitored->type() == plain->type());  // by which CUDA kernels are found
    CHECK(monitored->number_count() == plain->number_count());
    CHECK(monitored->name() == plain->name() + " | monitor every 10");
  });
}

TEST_CASE("a driver that measures updates as the one that does not, and both drivers sum alike") {
  test::for_each_rule([](auto const& rule) {
    auto const passes = make_passes(rule | monitor({.every = 1}));
    auto const plain = make_passes(rule);
    CHECK(plain->monitor() == nullptr);
    REQUIRE(passes->monitor() != nullptr);
    for (auto const dtype : {float32, float64}) {
      auto const start = at::sin(at::arange(2000, at::TensorOptions().dtype(dtype)));
      auto const gradient = at::cos(at::arange(2000, at::TensorOptions().dtype(dtype)));
      Tensor const weights[] = {start.clone(), start.clone(), start.clone()};
      std::vector<Tensor> fields[3];
      for (auto& own : fields) {
        for (std::size_t k = 0; k < passes->fields().size(); ++k) own.push_back(at::full_like(start, 0.01));
      }
      std::vector<double> numbers(passes->number_count());
      passes->write_numbers({.calls = 3, .rate = 0.01, .norm = 40}, numbers.data());
      auto const step = [&](int i) { return ParameterStep{weights[i], gradient, &fields[i], numbers.data()}; };
      MonitorSums fused, loop;
      MonitorSums* const to_fused = &fused;
      MonitorSums* const to_loop = &loop;
      auto const first = step(0), second = step(1), third = step(2);
      run_fused(*plain, std::span(&first, 1));
      run_fused_monitored(*passes, std::span(&second, 1), std::span(&to_fused, 1));
      run_loop_monitored(*passes, std::span(&third, 1), std::span(&to_loop, 1));
      CHECK(weights[0].equal(weights[1]));
      auto const close = [&](double a, double b) { return std::abs(a - b) <= (dtype == float64 ? 1e-12 : 1e-5) * (1 + std::abs(b)); };
      CHECK(close(fused.update, loop.update));
      CHECK(close(fused.gradient, loop.gradient));
      CHECK(close(fused.dot, loop.dot));
      CHECK(close(fused.weight, loop.weight));
      CHECK(close(fused.moment, loop.moment));
      CHECK(close(fused.moment2, loop.moment2));
      CHECK(std::abs(fused.clipped - loop.clipped) <= 2);
      CHECK(fused.update > 0);
    }
  });
}
