// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/rule_chain.hpp"

#include "lierne/optim/bind.hpp"
#include "sweep/rules.hpp"

using namespace lierne;

namespace {

auto falling = [](std::int64_t step, std::int64_t total) { return 1 - 0.5 * static_cast<double>(step) / static_cast<double>(total); };

}  // namespace

TEST_CASE("a chain of erased stages is the rule, bit for bit, on every path") {
  test::for_each_rule([](auto const& rule) {
    auto const chain = rule_chain(rule);
    CAPTURE(chain.name());
    CHECK(chain.name() == name(rule));
    for (auto dtype : {float32, float64}) {
      for (auto path : {Path::fused, Path::foreach, Path::loop}) {
        auto const typed = bind(scheduled(rule, falling), path);
        auto const erased = make_optimizer(make_passes(chain), falling, path);
        CHECK(erased->name() == typed->name());
        CHECK(erased->initial_rate() == typed->initial_rate());
        test::check_equal(test::after_steps(*erased, dtype), test::after_steps(*typed, dtype));
      }
    }
  });
}

TEST_CASE("a chain keeps fields of other shapes, and takes the same weights") {
  auto const rule = maximize() | normuon({.rate = 0.1}) | decay(0.1, times_rate);
  auto const typed = bind(rule, Path::loop), erased = make_optimizer(make_passes(rule_chain(rule)), Schedule{}, Path::fused);
  auto const matrix = at::sin(at::arange(15)).view({5, 3});
  std::vector<Slot> const a{{.name = "w", .weight = matrix.clone()}}, b{{.name = "w", .weight = matrix.clone()}};
  for (int k = 0; k < 4; ++k) {
    a[0].weight.mutable_grad() = at::cos(matrix * k);
    b[0].weight.mutable_grad() = at::cos(matrix * k);
    typed->step(a, {.step = k});
    erased->step(b, {.step = k});
  }
  CHECK(a[0].weight.equal(b[0].weight));
  CHECK(erased->state().at("optim.state.w.second_momentum_buffer").sizes() == Shape{5, 1});
  std::vector<Slot> const vector{{.name = "v", .weight = at::ones({3})}};
  vector[0].weight.mutable_grad() = at::ones({3});
  CHECK_THROWS_WITH_AS(erased->step(vector, {}), doctest::Contains("takes parameters of 2 dimensions, found shape [3]"), ShapeError);
}

TEST_CASE("a monitor in a chain says what it says in the rule, and moves no weight") {
  auto const numbers_of = [](std::unique_ptr<Optimizer> const& optimizer, Dtype dtype) {
    std::vector<Slot> slots;
    for (std::int64_t size : {3, 700, 1033}) {
      auto const wave = at::arange(size, at::TensorOptions().dtype(float64)).sin().to(dtype);
      slots.push_back({.name = "w" + std::to_string(size), .weight = wave.clone()});
    }
    std::map<std::string, double> last;
    for (int k = 0; k < 6; ++k) {
      for (auto& slot : slots) slot.weight.mutable_grad() = (slot.weight * 7 + k).cos() * 3;
      auto const report = optimizer->step(slots, {.step = k});
      CHECK(report.metrics.empty() == (k % 2 == 0));
      if (!report.metrics.empty()) last = report.metrics;
    }
    for (auto const& slot : slots) last["weights of " + slot.name] = slot.weight.to(float64).sum().item<double>();
    return last;
  };
  auto const same = [&](auto const& rule, std::size_t keys) {
    auto const measured = rule | monitor({.every = 2, .only_global = false});
    for (auto dtype : {float32, float64}) {
      for (auto path : {Path::fused, Path::foreach, Path::loop}) {
        auto const typed = numbers_of(bind(measured, path), dtype);
        CHECK(typed.size() == 4 * keys + 3);
        CHECK(typed == numbers_of(make_optimizer(make_passes(rule_chain(measured)), Schedule{}, path), dtype));
        auto plain = make_optimizer(make_passes(rule_chain(rule | monitor({.every = 2}))), Schedule{}, path);
        CHECK(numbers_of(plain, dtype).at("weights of w1033") == typed.at("weights of w1033"));
      }
    }
  };
  same(clip_norm(1) | adamw({.rate = 0.01}) | decay(0.1, times_rate), 8);
  same(adopt({.rate = 0.01}) | decay(0.1, times_rate), 9);  // with the share clipped, which is not 0 here
  auto const clipped = numbers_of(make_optimizer(make_passes(rule_chain(adopt() | monitor({.every = 2}))), {}, Path::fused), float32);
  CHECK(clipped.at("share/clipped/global") > 0);
}

TEST_CASE("the steps that are compared do something") {
  auto const still = make_optimizer(make_passes(rule_chain(plain_sgd(1e-300))), {}, Path::fused);
  auto const moved = make_optimizer(make_passes(rule_chain(plain_sgd(0.1))), {}, Path::fused);
  auto const a = test::after_steps(*still, float32), b = test::after_steps(*moved, float32);
  CHECK((a.back() - b.back()).numel() > 0);
  CHECK((a[8] - b[8]).abs().max().item<double>() > 0.01);
}

TEST_CASE("a chain's rate is that of its recipe, and may be set") {
  auto chain = rule_chain(clip_norm(1) | adamw({.rate = 0.25}));
  CHECK(chain.rate == 0.25);
  chain.rate = 0.5;
  CHECK(make_passes(chain)->initial_rate() == 0.5);
  CHECK(make_passes(chain)->name().find("adamw 0.5 (") != std::string::npos);
  CHECK(make_passes(chain)->largest_norm() == 1);
  CHECK_FALSE(make_passes(rule_chain(adamw()))->largest_norm());
}

TEST_CASE("places that only a chain can get wrong are checked when it runs") {
  auto chain = rule_chain(clip_norm(1) | adamw());
  std::swap(chain.entries.front(), chain.entries.back());
  CHECK_THROWS_WITH_AS(make_passes(chain), doctest::Contains("clip_norm: it must be the first stage"), ArgumentError);
  auto twice = rule_chain(adamw());
  lierne::detail::append_stages(twice, momentum());
  CHECK_THROWS_WITH_AS(make_passes(twice), doctest::Contains("two stages keep a field 'exp_avg'"), ArgumentError);
  auto const refuses = [](auto const& rule, auto const& stage, char const* words) {
    auto chain = rule_chain(rule);
    lierne::detail::append_stages(chain, stage);
    CHECK_THROWS_WITH_AS(make_passes(chain), doctest::Contains(words), ArgumentError);
  };
  refuses(adamw() | ema(0.9), decay(0.1, times_rate), "a stage that looks at the moved weight must stand behind");
  refuses(adamw() | ema(0.9), labelled<"slow">(ema(0.99)), "two stages say by which weights");
  refuses(schedule_free_sgd(), decay(0.1, times_rate), "a decay would move one of its points alone");
  refuses(schedule_free_sgd(), momentum(), "schedule_free must be the last stage");
}

TEST_CASE("a chain gives the evaluation weights of the rule") {
  auto const judged = [](auto const& rule) {
    auto const typed = bind(rule), erased = make_optimizer(make_passes(rule_chain(rule)), {}, Path::fused);
    std::vector<Tensor> both;
    for (auto* optimizer : {typed.get(), erased.get()}) {
      std::vector<Slot> slots{{.name = "w", .weight = at::linspace(-1, 1, 19)}};
      for (int k = 0; k < 4; ++k) {
        slots[0].weight.mutable_grad() = (slots[0].weight * 3 + k).sin();
        optimizer->step(slots, {.step = k});
      }
      EvaluationWeights const guard(*optimizer, slots);
      both.push_back(slots[0].weight.clone());
    }
    CHECK(both[0].equal(both[1]));
  };
  judged(adamw() | decay(0.1, times_rate) | ema(0.9));
  judged(schedule_free_adamw({.rate = 0.1}));
}
