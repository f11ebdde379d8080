// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/monitor.hpp"

#include <doctest/doctest.h>

#include <barrier>
#include <thread>

#include <ATen/Parallel.h>

#include "lierne/optim/optim.hpp"
#include "trajectory.hpp"

using namespace lierne;

static_assert(!monitor({.every = 10}).due(0) && monitor({.every = 10}).due(9) && monitor({.every = 10}).due(19));
static_assert(!monitor({.every = 0}).due(0) && !monitor({.every = -1}).due(0) && monitor({.every = 1}).due(0));
static_assert(monitor().only_global && monitor().every == 10);
static_assert(check_rule<decltype(clip_norm(1) | adamw() | decay(0.1, times_rate) | monitor())>());

namespace {

constexpr Monitor every_step{.every = 1, .only_global = false};

/// A run against the recorded metrics of every step.
template <class Rule>
void check_metrics(std::string const& name, Rule const& rule) {
  test::Trajectory const recorded(name);
  auto const metrics = SafeTensors::open(std::string(LIERNE_GOLDEN) + "/optim/metrics/" + name + ".safetensors");
  for (auto const path : test::all_paths) {
    CAPTURE(test::name(path));
    auto const optimizer = bind(scheduled(rule | every_step, recorded.schedule()), path);
    std::vector<Slot> slots;
    for (auto const* index : {"0", "1", "2"}) {
      slots.push_back({.name = index, .weight = recorded.file.tensor(std::string("p0/") + index).clone()});
    }
    int compared = 0;
    for (std::int64_t k = 0; k < 60; ++k) {
      for (auto& slot : slots) {
        if (recorded.file.tensor("mask/" + slot.name)[k].item<std::int64_t>() == 0) continue;
        slot.weight.mutable_grad() = recorded.file.tensor("grad/" + slot.name)[k].clone();
      }
      auto const report = optimizer->step(slots, {.step = k, .total = 60});
      for (auto const& key : metrics.names()) {
        CAPTURE(key);
        CAPTURE(k);
        double const expected = metrics.tensor(key)[k].template item<double>();
        REQUIRE(report.metrics.contains(key) == !std::isnan(expected));
        if (std::isnan(expected)) continue;
        CHECK(std::abs(report.metrics.at(key) - expected) <= 1e-9 * std::abs(expected) + 1e-12);
        ++compared;
      }
    }
    CHECK(compared > 60 * 24);
  }
}

double wave(std::int64_t i) { return std::sin(12.9898 * static_cast<double>(i) + 4.1); }

Tensor waves(std::int64_t size, std::int64_t from, Dtype dtype) {
  auto const values = at::empty({size}, float64);
  for (std::int64_t i = 0; i < size; ++i) values.mutable_data_ptr<double>()[i] = wave(from + i);
  return values.to(dtype);
}

/// Parameters that end inside a block, a chunk and a vector; one is empty, one without gradient.
std::vector<Slot> parameters(Dtype dtype) {
  std::vector<Slot> slots;
  for (std::int64_t const size : {3 * 16384 + 517, 512, 5, 0, 33}) {
    slots.push_back({.name = "w" + std::to_string(size), .weight = waves(size, size, dtype)});
  }
  return slots;
}

StepReport step(Optimizer& optimizer, std::vector<Slot>& slots, std::int64_t k, StepContext context = {}) {
  for (auto& slot : slots) {
    if (slot.name == "w33" && k % 2 == 0) continue;
    auto const gradient = waves(slot.weight.numel(), 7 * k + 1, slot.weight.scalar_type());
    slot.weight.mutable_grad() = gradient.view_as(slot.weight);
  }
  context.step = k;
  return optimizer.step(slots, context);
}

auto clipping_rule() { return clip_norm(20) | adopt({.rate = 0.01}) | decay(0.1, times_rate); }

}  // namespace

TEST_CASE("the metrics are the recorded ones, on every path") {
  check_metrics("adamw_plain", adamw({.rate = 3e-3}) | decay(0.1, times_rate));
  check_metrics("decoupled_adamw_on", adamw({.rate = 3e-3, .beta2 = 0.95}) | decay(0.01, times_schedule));
  check_metrics("qhadamw_default", qhadamw({.rate = 3e-3}) | decay(1e-5, times_schedule));
  check_metrics("adopt_clip_nodecay", adopt({.rate = 3e-3}));
  check_metrics("qhadopt_decoupled", qhadopt({.rate = 3e-3}) | decay(0.01, times_schedule));
}

TEST_CASE("long parameters are summed as a loop in double sums them, the same on every path") {
  for (auto const dtype : {float64, float32}) {
    for (auto const path : test::all_paths) {
      CAPTURE(test::name(path));
      auto const optimizer = bind(clipping_rule() | every_step, path);
      auto slots = parameters(dtype);
      step(*optimizer, slots, 0);
      step(*optimizer, slots, 1);
      auto const previous = optimizer->state();
      std::vector<Tensor> before;
      for (auto const& slot : slots) before.push_back(slot.weight.clone());
      auto const second_moment = previous.at("optim.state.w49669.exp_avg_sq").to(float64).clone();
      auto const report = step(*optimizer, slots, 2);
      auto const after = optimizer->state();

      double const factor = ClipNorm{20}.factor(report.grad_norm);
      CHECK(factor < 1);
      double update = 0, gradient = 0, dot = 0, weight = 0, moment2 = 0, smallest = 1e300, largest = 0, clipped = 0;
      auto const size = slots[0].weight.numel();
      auto const g = waves(size, 15, dtype);
      auto const scaled = (g * factor).to(float64);
      auto const d = (before[0] - slots[0].weight).to(float64), w = slots[0].weight.to(float64);
      auto const v = after.at("optim.state.w49669.exp_avg_sq").to(float64);
      for (std::int64_t i = 0; i < size; ++i) {
        double const gi = scaled.const_data_ptr<double>()[i], di = d.const_data_ptr<double>()[i];
        double const vi = v.const_data_ptr<double>()[i], wi = w.const_data_ptr<double>()[i];
        update += di * di, gradient += gi * gi, dot += di * gi, weight += wi * wi, moment2 += vi * vi;
        smallest = std::min(smallest, vi), largest = std::max(largest, vi);
        double const direction = gi / std::max(std::sqrt(second_moment.const_data_ptr<double>()[i]), 1e-6);
        clipped += std::abs(direction) > std::pow(2, 0.25) ? 1 : 0;
      }
      auto const& m = report.metrics;
      auto const close = [&](double expected) { return doctest::Approx(expected).epsilon(1e-11); };
      CHECK(m.at("l2_norm/update/w49669") == close(std::sqrt(update)));
      CHECK(m.at("l2_norm/grad/w49669") == close(std::sqrt(gradient)));
      CHECK(m.at("cosine/update_grad/w49669") == close(dot / std::sqrt(update * gradient)));
      CHECK(m.at("l2_norm/param/w49669") == close(std::sqrt(weight)));
      CHECK(m.at("l2_norm/moment2/w49669") == close(std::sqrt(moment2)));
      CHECK(m.at("min/moment2/w49669") == smallest);
      CHECK(m.at("max/moment2/w49669") == largest);
      CHECK(clipped > 100);
      CHECK(std::abs(m.at("share/clipped/w49669") - clipped / static_cast<double>(size)) <= (dtype == float64 ? 0 : 1e-4));
      CHECK_FALSE(m.contains("l2_norm/grad/w33"));
      CHECK(m.at("l2_norm/grad/w0") == 0);
      CHECK(m.at("cosine/update_grad/w0") == 0);
      CHECK(m.at("l2_norm/grad/global") == close(report.grad_norm * factor).epsilon(dtype == float64 ? 1e-11 : 1e-6));
    }
  }
}

TEST_CASE("a measured step is the unmeasured one, bit for bit, and does not depend on threads") {
  auto const threads = at::get_num_threads();
  for (auto const dtype : {float64, float32}) {
    for (auto const path : test::all_paths) {
      auto const plain = bind(clipping_rule(), path), measured = bind(clipping_rule() | every_step, path);
      auto const other = bind(clipping_rule() | every_step, path);
      auto a = parameters(dtype), b = parameters(dtype), c = parameters(dtype);
      for (int k = 0; k < 3; ++k) {
        CHECK(step(*plain, a, k).metrics.empty());
        at::set_num_threads(1);
        auto const one = step(*measured, b, k).metrics;
        at::set_num_threads(3);
        bool const same = step(*other, c, k).metrics == one;
        CHECK((same || path != Path::fused));  // elsewhere ATen sums, whose order follows the threads
        at::set_num_threads(threads);
      }
      for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].weight.equal(b[i].weight));
      auto const kept = measured->state();
      for (auto const& [key, tensor] : plain->state()) CHECK(tensor.equal(kept.at(key)));
    }
  }
}

TEST_CASE("how parameters are cut over ranks does not change the numbers") {
  for (bool const only_global : {true, false}) {
    Monitor const settings{.every = 1, .only_global = only_global};
    auto whole = std::vector<Slot>{{.name = "cut", .weight = waves(999, 0, float64)}, {.name = "replica", .weight = waves(10, 5, float64)}};
    auto const rule = adopt({.rate = 0.1}) | decay(0.1, times_rate) | settings;
    auto const gradient = [](Slot const& slot) { return (slot.weight * 50).sin(); };
    auto const one = bind(rule);
    std::map<std::string, double> expected;
    auto const start = [&](std::int64_t from, std::int64_t size, bool counted) {
      return std::vector<Slot>{{.name = "cut", .weight = waves(999, 0, float64).narrow(0, from, size).clone()},
                               {.name = "replica", .weight = waves(10, 5, float64), .counted = counted}};
    };
    for (int k = 0; k < 3; ++k) {
      for (auto& slot : whole) slot.weight.mutable_grad() = gradient(slot);
      expected = one->step(whole, {.step = k}).metrics;
    }
    // Two ranks that meet in the reduction; the second counts no replica. The third has nothing of the cut parameter.
    std::vector<std::vector<Slot>> parts{start(0, 700, true), start(700, 299, false), start(999, 0, false)};
    std::vector<std::map<std::string, double>> got(3);
    std::vector<std::vector<double>> sums(3), maxima(3);
    std::barrier meet(3);
    std::vector<std::thread> ranks;
    for (std::size_t r = 0; r < 3; ++r) {
      ranks.emplace_back([&, r] {
        int calls = 0;
        auto const reduce = [&, r](std::span<double> s, std::span<double> m) {
          ++calls;
          sums[r].assign(s.begin(), s.end());
          maxima[r].assign(m.begin(), m.end());
          meet.arrive_and_wait();
          for (std::size_t i = 0; i < s.size(); ++i) s[i] = sums[0][i] + sums[1][i] + sums[2][i];
          for (std::size_t i = 0; i < m.size(); ++i) m[i] = std::max({maxima[0][i], maxima[1][i], maxima[2][i]});
          meet.arrive_and_wait();
        };
        auto const optimizer = bind(rule);
        for (int k = 0; k < 3; ++k) {
          for (auto& slot : parts[r]) slot.weight.mutable_grad() = gradient(slot);
          got[r] = optimizer->step(parts[r], {.step = k, .reduce_over_ranks = reduce}).metrics;
        }
        if (calls != 3) got[r].clear();  // once a step
      });
    }
    for (auto& rank : ranks) rank.join();
    CHECK(expected.size() == (only_global ? 9 : 27));
    for (auto const& metrics : got) {
      REQUIRE(metrics.size() == expected.size());
      for (auto const& [key, value] : expected) {
        CAPTURE(key);
        CHECK(metrics.at(key) == doctest::Approx(value).epsilon(1e-13));
      }
    }
  }
}

TEST_CASE("groups of several rules report together") {
  auto const slots = [] {
    return std::vector<Slot>{{.name = "a", .weight = waves(40, 0, float64), .kind = Kind::norm},
                             {.name = "b", .weight = waves(30, 9, float64).reshape({5, 6})}};
  };
  auto const two = bind(grouped(adamw() | every_step, groups(on<Kind::matrix>(sgd({.rate = 0.1}) | every_step), otherwise())));
  auto const first = bind(adamw() | every_step), second = bind(sgd({.rate = 0.1}) | every_step);
  auto all = slots(), a = slots(), b = slots();
  a.pop_back();
  b.erase(b.begin());
  auto const together = step(*two, all, 1).metrics, one = step(*first, a, 1).metrics, other = step(*second, b, 1).metrics;
  CHECK(together.at("l2_norm/moment2/a") == one.at("l2_norm/moment2/a"));
  CHECK(together.at("l2_norm/moment/b") == other.at("l2_norm/moment/b"));
  CHECK_FALSE(together.contains("l2_norm/moment2/b"));
  CHECK(together.at("max/moment2/global") == one.at("max/moment2/a"));
  CHECK(together.at("l2_norm/update/global") ==
        doctest::Approx(std::hypot(one.at("l2_norm/update/a"), other.at("l2_norm/update/b"))).epsilon(1e-14));
}

TEST_CASE("only what is asked for is reported, only when it is due") {
  auto const optimizer = bind(adamw() | monitor({.every = 3}));
  auto slots = parameters(float64);
  for (int k = 0; k < 7; ++k) {
    auto const metrics = step(*optimizer, slots, k).metrics;
    CHECK(metrics.empty() == ((k + 1) % 3 != 0));
    for (auto const& [key, value] : metrics) CHECK(key.ends_with("/global"));
  }
  auto const off = bind(adamw() | monitor({.every = 0}));
  auto const no_state = bind(plain_sgd(0.1) | every_step);
  for (int k = 0; k < 12; ++k) CHECK(step(*off, slots, k).metrics.empty());
  auto const metrics = step(*no_state, slots, 0).metrics;
  CHECK_FALSE(metrics.contains("l2_norm/moment/global"));
  CHECK_FALSE(metrics.contains("share/clipped/global"));
  CHECK(metrics.at("cosine/update_grad/global") == doctest::Approx(1).epsilon(1e-12));
}

TEST_CASE("NaN is shown, not passed by") {
  for (auto const path : test::all_paths) {
    auto const optimizer = bind(adamw() | every_step, path);
    std::vector<Slot> slots{{.name = "a", .weight = at::ones({20}, float64)}, {.name = "b", .weight = at::ones({2}, float64)}};
    for (auto& slot : slots) slot.weight.mutable_grad() = at::ones_like(slot.weight);
    slots[0].weight.mutable_grad()[7] = std::nan("");
    auto const metrics = optimizer->step(slots, {}).metrics;
    for (auto const* key : {"l2_norm/grad", "l2_norm/update", "min/moment2", "max/moment2", "cosine/update_grad"}) {
      CAPTURE(key);
      CHECK(std::isnan(metrics.at(std::string(key) + "/global")));
      CHECK_FALSE(std::isnan(metrics.at(std::string(key) + "/b")));
    }
  }
}

TEST_CASE("a monitor over ranks without a reduction is refused") {
  auto const optimizer = bind(adamw() | every_step);
  auto slots = parameters(float64);
  CHECK_THROWS_WITH_AS(step(*optimizer, slots, 0, {.sum_over_ranks = [](double x) { return x; }}),
                       doctest::Contains("needs StepContext::reduce_over_ranks"), ArgumentError);
}
