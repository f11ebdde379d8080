// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/storage.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "lierne/core/random.hpp"
#include "lierne/optim/optim.hpp"

using namespace lierne;

static_assert(check_rule<decltype(adamw() | store<"exp_avg", "exp_avg_sq">(bf16_stochastic) | weights_in(bf16_kahan))>());
static_assert(check_rule<decltype(recipe("mine", 0.1, labelled<"slow">(momentum())) | store<"slow_exp_avg">(eight_bit_blocks))>());
static_assert(detail::has_storage<decltype(adamw() | weights_in(bf16_nearest))> && !detail::has_storage<decltype(adamw() | monitor())>);

namespace {

constexpr Path paths[] = {Path::fused, Path::foreach, Path::loop};

auto adam() { return adamw({.rate = 3e-3, .beta2 = 0.95}) | decay(0.1, times_rate); }

// Calls visit(rule, dtype of the weights) for rules that together use every form.
template <class Visit>
void for_each_form(Visit const& visit) {
  visit(adam() | store<"exp_avg", "exp_avg_sq">(bf16_stochastic), float32);
  visit(adam() | store<"exp_avg", "exp_avg_sq">(bf16_nearest) | weights_in(bf16_nearest), bfloat16);
  visit(adam() | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks), float32);
  visit(adam() | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks), float64);
  visit(adam() | weights_in(bf16_stochastic, {.seed = 9}), bfloat16);
  visit(adam() | store<"exp_avg">(eight_bit_blocks) | store<"exp_avg_sq">(bf16_stochastic) | weights_in(bf16_kahan), bfloat16);
  visit(adam() | store<"exp_avg_sq">(bf16_stochastic) | weights_in(bf16_with_master), bfloat16);
  visit(adam() | ema(0.9) | store<"exp_avg">(eight_bit_blocks) | weights_in(bf16_stochastic), bfloat16);
  visit(adam() | ema(0.9) | store<"ema">(bf16_stochastic) | weights_in(bf16_kahan), bfloat16);
}

Tensor start(Shape const& shape, Dtype dtype) {
  return (at::arange(elements(shape), at::kDouble) * 12.9898 + 4.1).sin().view(shape).to(dtype);
}

std::vector<Slot> parameters(Dtype dtype) {
  return {{.name = "matrix", .weight = start({6, 300}, dtype)},
          {.name = "vector", .weight = start({37}, dtype)},
          {.name = "scalar", .weight = start({}, dtype)},
          {.name = "empty", .weight = start({0, 300}, dtype)}};
}

void step(Optimizer& optimizer, std::vector<Slot>& slots, std::int64_t k) {
  for (auto& slot : slots) {
    if (slot.name == "vector" && k % 3 == 1) continue;  // absent now and then
    slot.weight.mutable_grad() = (slot.weight.to(float64) * 3 + static_cast<double>(k)).sin().to(slot.weight.scalar_type());
  }
  optimizer.step(slots, {.step = k, .total = 100});
}

std::map<std::string, Tensor> copied(std::map<std::string, Tensor> const& state) {
  std::map<std::string, Tensor> copy;
  for (auto const& [key, tensor] : state) copy[key] = tensor.clone();
  return copy;
}

// The nearest two numbers of 8 bits and the share of the way between them, by arithmetic on parts of the number.
double to_bf16_by_parts(double x, std::optional<std::uint32_t> random) {
  if (x == 0) return x;
  int exponent = 0;
  std::frexp(x, &exponent);
  double const unit = std::ldexp(1.0, exponent - 8), low = std::trunc(x / unit) * unit, high = low + std::copysign(unit, x);
  double const share = std::abs(x - low) / unit;
  if (random) return *random + share * 65536 >= 65536 ? high : low;
  bool const odd = std::fmod(std::abs(low) / unit, 2) == 1;
  return share > 0.5 || (share == 0.5 && odd) ? high : low;
}

// The random bits of an element, from the library's generator as the documentation says.
std::uint32_t bits_of(std::string const& key, std::int64_t calls, std::uint64_t seed, std::int64_t i) {
  Random const random{seed, hash("#" + std::to_string(calls), hash(key))};
  auto const words = random.block(static_cast<std::uint64_t>(i / 64 * 8 + i % 8));
  return static_cast<std::uint32_t>(words[static_cast<std::size_t>(i / 8 % 8 / 4)] >> (16 * (i / 8 % 4)) & 0xffff);
}

}  // namespace

TEST_CASE("steps equal a plain loop that rounds by itself: state in bf16 or weights in each form") {
  // AdamW as its documentation says, in float, one operation after the other.
  AdamSettings<> const settings{.rate = 3e-3, .beta2 = 0.95};
  std::int64_t const size = 333;
  for (auto const form : {Storage::bf16_nearest, Storage::bf16_stochastic, Storage::bf16_kahan, Storage::bf16_with_master}) {
    CAPTURE(to_string(form));
    bool const stochastic = form == Storage::bf16_stochastic;
    auto const base = adamw(settings) | decay(0.1, times_rate);
    auto const optimizer = stochastic                       ? bind(base | store<"exp_avg", "exp_avg_sq">(bf16_stochastic, {.seed = 4}) | weights_in(bf16_stochastic))
                           : form == Storage::bf16_nearest ? bind(base | store<"exp_avg", "exp_avg_sq">(bf16_nearest) | weights_in(bf16_nearest))
                           : form == Storage::bf16_kahan   ? bind(base | store<"exp_avg", "exp_avg_sq">(bf16_nearest) | weights_in(bf16_kahan))
                                                           : bind(base | store<"exp_avg", "exp_avg_sq">(bf16_nearest) | weights_in(bf16_with_master));
    std::vector<Slot> slots{{.name = "w", .weight = start({size}, bfloat16)}};
    std::vector<float> weight(size), exact(size), rest(size), first(size), second(size);
    for (std::int64_t i = 0; i < size; ++i) {
      weight[static_cast<std::size_t>(i)] = exact[static_cast<std::size_t>(i)] = slots[0].weight[i].item<float>();
    }
    for (int call = 0; call < 12; ++call) {
      auto const gradient = (at::arange(size, at::kDouble) * 0.37 + call).sin().to(float32);
      slots[0].weight.mutable_grad() = gradient.clone();  // float32 beside bf16 weights
      optimizer->step(slots, {.step = call});
      auto const factor = static_cast<float>(1 - 3e-3 * 0.1), rate = 3e-3f;
      auto const c1 = static_cast<float>(1 / (1 - std::pow(0.9, call + 1))), c2 = static_cast<float>(1 / std::sqrt(1 - std::pow(0.95, call + 1)));
      auto const state = optimizer->state();
      for (std::int64_t i = 0; i < size; ++i) {
        auto const k = static_cast<std::size_t>(i);
        float const g = gradient[i].item<float>();
        float const m = first[k] + static_cast<float>(1 - 0.9) * (g - first[k]);
        float const v = 0.95f * second[k] + static_cast<float>(1 - 0.95) * (g * g);
        float const direction = (c1 * m) / (c2 * std::sqrt(v) + 1e-8f);
        float const from = form == Storage::bf16_kahan ? weight[k] + rest[k] : form == Storage::bf16_with_master ? exact[k] : weight[k];
        float const w = factor * from - rate * direction;
        auto const rounded = [&](float x, char const* key, std::uint64_t seed) {
          return static_cast<float>(to_bf16_by_parts(x, stochastic ? std::optional(bits_of(key, call, seed, i)) : std::nullopt));
        };
        first[k] = rounded(m, "w.exp_avg", 4);
        second[k] = rounded(v, "w.exp_avg_sq", 4);
        weight[k] = rounded(w, "w", 0);
        rest[k] = static_cast<float>(to_bf16_by_parts(w - weight[k], std::nullopt));
        exact[k] = w;
        REQUIRE(state.at("optim.state.w.exp_avg")[i].item<float>() == first[k]);
        REQUIRE(state.at("optim.state.w.exp_avg_sq")[i].item<float>() == second[k]);
        REQUIRE(slots[0].weight[i].item<float>() == weight[k]);
        if (form == Storage::bf16_kahan) REQUIRE(state.at("optim.state.w.compensation")[i].item<float>() == rest[k]);
        if (form == Storage::bf16_with_master) REQUIRE(state.at("optim.state.w.master")[i].item<float>() == exact[k]);
      }
    }
  }
}

TEST_CASE("a master is the weight of the plain rule bit for bit, on every path and for rules of whole tensors") {
  auto const check_rule = [](auto const& rule) {
    CAPTURE(name(rule));
    for (auto const path : paths) {
      auto const plain = bind(rule, path), mastered = bind(rule | weights_in(bf16_with_master), path);
      std::vector<Slot> a{{.name = "w", .weight = start({40, 70}, bfloat16).to(float32)}}, b{{.name = "w", .weight = start({40, 70}, bfloat16)}};
      for (int k = 0; k < 5; ++k) {
        a[0].weight.mutable_grad() = (a[0].weight * 3 + k).sin();
        b[0].weight.mutable_grad() = a[0].weight.grad().clone();
        plain->step(a, {.step = k});
        mastered->step(b, {.step = k});
        CHECK(mastered->state().at("optim.state.w.master").equal(a[0].weight));
        CHECK(b[0].weight.equal(a[0].weight.to(bfloat16)));
      }
    }
  };
  check_rule(clip_norm(1) | adamw() | decay(0.1, times_rate));
  check_rule(adopt() | decay(0.1, times_rate));
  check_rule(muon() | decay(0.1, times_rate));
  check_rule(soap());
  check_rule(recipe("cautious adam", 0.03, momentum() | normalise() | cautious()));
}

TEST_CASE("rules of whole tensors store their fields too") {
  for (auto const path : paths) {
    auto const run = [&](auto const& rule) {
      auto const optimizer = bind(rule, path);
      std::vector<Slot> slots{{.name = "w", .weight = start({40, 300}, float32)}};
      for (int k = 0; k < 10; ++k) {
        slots[0].weight.mutable_grad() = (start({40, 300}, float32) * 30 + k).sin();
        optimizer->step(slots, {.step = k});
      }
      return std::pair(slots[0].weight, optimizer->state().at("optim.state.w.momentum_buffer"));
    };
    auto const plain = run(muon());
    auto const stored = run(muon() | store<"momentum_buffer">(eight_bit_blocks));
    CHECK((stored.second.scalar_type() == at::kByte));
    auto const moved = (plain.first - start({40, 300}, float32)).norm().item<double>();
    CHECK((plain.first - stored.first).norm().item<double>() <= 0.3 * moved);
    CHECK_FALSE(plain.first.equal(stored.first));
  }
}

TEST_CASE("2000 tiny updates: nearest stands still; stochastic, Kahan and a master follow float64") {
  std::int64_t const size = 4096;
  int const steps = 2000;
  auto const weights = (0.5 + 1.5 * start({size}, float64).abs()).to(bfloat16);
  auto const noise = start({size}, float64);
  auto const run = [&](auto const& rule, Dtype dtype) {
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = "w", .weight = weights.to(dtype).clone()}};
    for (int k = 0; k < steps; ++k) {
      slots[0].weight.mutable_grad() = (1 + 0.3 * (noise * 50 + k).sin()).to(dtype == float64 ? float64 : float32);
      optimizer->step(slots, {.step = k});
    }
    auto const state = optimizer->state();
    auto const found = state.find("optim.state.w.compensation");
    auto const master = state.find("optim.state.w.master");
    auto const whole = slots[0].weight.to(float64);
    return master != state.end() ? master->second.to(float64) : found != state.end() ? whole + found->second.to(float64) : whole;
  };
  auto const rule = adamw({.rate = 1e-5});  // about 0.02 in all; half a unit in the last place is 0.002 to 0.004
  auto const exact = run(rule, float64);
  auto const moved = (weights.to(float64) - exact);
  CHECK(moved.min().item<double>() > 0.015);

  auto const nearest = run(rule | weights_in(bf16_nearest), bfloat16);
  CHECK(nearest.equal(weights.to(float64)));  // not one element has moved

  auto const stochastic = run(rule | weights_in(bf16_stochastic), bfloat16);
  auto const away = stochastic - exact;
  // Each step leaves (share)(1 - share) unit² of variance, less than update · unit, and the error's mean is 0.
  double const variance = (moved * 0x1p-7).mean().item<double>();
  CHECK(std::abs(away.mean().item<double>()) <= 4 * std::sqrt(variance / static_cast<double>(size)));
  CHECK(away.square().mean().item<double>() <= 1.1 * variance);
  CHECK(away.square().mean().item<double>() < 0.5 * moved.square().mean().item<double>());

  auto const kahan = run(rule | weights_in(bf16_kahan), bfloat16);
  // An update is about the last bit of the pair, 2^-16, and is rounded to it: a bias, but a small part of the way.
  CHECK((kahan - exact).abs().max().item<double>() <= 0.2 * moved.min().item<double>());
  CHECK((kahan - exact).square().mean().item<double>() <= 0.0625 * away.square().mean().item<double>());
  auto const master = run(rule | weights_in(bf16_with_master), bfloat16);
  CHECK((master - exact).abs().max().item<double>() <= 4 * std::sqrt(steps) * 0x1p-24 * 2);
}

TEST_CASE("2000 small changes of a second moment: nearest stops short; stochastic reaches its mean") {
  auto const run = [&](auto const& rule, Dtype dtype) {
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = "w", .weight = at::zeros({4096}, dtype)}};
    for (int k = 0; k < 2000; ++k) {
      slots[0].weight.mutable_grad() = at::full({4096}, 1.1, dtype);
      optimizer->step(slots, {.step = k});
    }
    return optimizer->state().at("optim.state.w.exp_avg_sq").to(float64).mean().template item<double>();
  };
  double const exact = run(adamw(), float64);
  CHECK(exact == doctest::Approx(1.21 * (1 - std::pow(0.999, 2000))).epsilon(1e-9));
  CHECK(run(adamw() | store<"exp_avg_sq">(bf16_nearest), float32) < 0.6 * exact);
  // One element's deviation: steps of variance up to change · unit = 0.00121 · 2^-8, forgotten over 500 steps.
  CHECK(std::abs(run(adamw() | store<"exp_avg_sq">(bf16_stochastic), float32) - exact) <= 4 * std::sqrt(0.00121 * 0x1p-7 * 500 / 4096));
}

TEST_CASE("8-bit state follows float32 state closely") {
  auto const run = [&](auto const& rule) {
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = "w", .weight = start({8, 512}, float32)}};
    for (int k = 0; k < 300; ++k) {
      auto const curvature = at::linspace(0.2, 2, 4096).view({8, 512});
      slots[0].weight.mutable_grad() = curvature * slots[0].weight + 0.05 * (start({8, 512}, float32) * 90 + k).sin();
      optimizer->step(slots, {.step = k});
    }
    return slots[0].weight;
  };
  auto const plain = run(adamw({.rate = 3e-3})), blocks = run(adamw({.rate = 3e-3}) | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks));
  double const moved = (plain - start({8, 512}, float32)).norm().item<double>();
  CHECK((plain - blocks).norm().item<double>() <= 0.05 * moved);
  CHECK((plain - blocks).norm().item<double>() > 0);
}

TEST_CASE("a second moment far below its block's largest does not make its element jump") {
  auto const run = [&](auto const& rule) {
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = "w", .weight = at::zeros({1, 256})}};
    auto gradient = at::full({1, 256}, 1e-3f);
    gradient[0][0] = 100;  // the others' squares are 1e-10 of its square
    for (int k = 0; k < 50; ++k) {
      slots[0].weight.mutable_grad() = gradient.clone();
      optimizer->step(slots, {.step = k});
    }
    return slots[0].weight.abs().max().template item<double>();
  };
  CHECK(run(adamw({.rate = 1e-3}) | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks)) <= 1.01 * 50 * 1e-3);
}

TEST_CASE("the three paths agree as those of plain rules do, but for codes that a last bit turns") {
  for_each_form([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    std::vector<std::vector<Slot>> ends;
    for (auto const path : paths) {
      auto const optimizer = bind(rule, path);
      auto slots = parameters(dtype);
      for (int k = 0; k < 6; ++k) step(*optimizer, slots, k);
      ends.push_back(slots);
    }
    for (std::size_t i = 0; i < ends[0].size(); ++i) {
      for (std::size_t p = 1; p < 3; ++p) {
        auto const away = (ends[p][i].weight.to(float64) - ends[0][i].weight.to(float64)).abs();
        if (away.numel() == 0) continue;
        // Rounding of the last bit of float32 may turn a code, which then is off by a bin.
        CHECK(away.mean().template item<double>() <= (dtype == float64 ? 1e-12 : 2e-5));
        CHECK(away.max().template item<double>() <= (dtype == float64 ? 1e-12 : dtype == bfloat16 ? 0x1p-6 : 2e-3));
      }
    }
  });
}

TEST_CASE("a run that is saved and loaded in its middle goes on bit for bit") {
  for_each_form([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    for (auto const path : paths) {
      auto const through = bind(rule, path), first = bind(rule, path), second = bind(rule, path);
      auto expected = parameters(dtype), slots = parameters(dtype);
      for (int k = 0; k < 10; ++k) step(*through, expected, k);
      for (int k = 0; k < 5; ++k) step(*first, slots, k);
      auto const report = second->load_state(copied(first->state()));
      CHECK(report.missing.empty());
      CHECK(report.extra.empty());
      for (int k = 5; k < 10; ++k) step(*second, slots, k);
      for (std::size_t i = 0; i < slots.size(); ++i) CHECK(slots[i].weight.equal(expected[i].weight));
      auto const end = second->state();
      for (auto const& [key, tensor] : through->state()) CHECK(tensor.equal(end.at(key)));
    }
  });
}

TEST_CASE("seeds, names and calls change the rounding, and nothing else does") {
  auto const run = [](auto const& rule, char const* name, int calls) {
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = name, .weight = start({500}, bfloat16)}};
    for (int k = 0; k < calls; ++k) {
      slots[0].weight.mutable_grad() = at::ones({500}, bfloat16);
      optimizer->step(slots, {.step = 1000 - k});  // not the run's step: the parameter's own calls
    }
    return slots[0].weight;
  };
  auto const rule = adamw() | weights_in(bf16_stochastic);
  CHECK(run(rule, "a", 3).equal(run(rule, "a", 3)));
  CHECK_FALSE(run(rule, "a", 3).equal(run(rule, "b", 3)));
  CHECK_FALSE(run(rule, "a", 3).equal(run(adamw() | weights_in(bf16_stochastic, {.seed = 1}), "a", 3)));
}

TEST_CASE("a measured step is the unmeasured one, bit for bit, and measures before it rounds") {
  for_each_form([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    for (auto const path : paths) {
      auto const plain = bind(rule, path), measured = bind(rule | monitor({.every = 1}), path);
      auto a = parameters(dtype), b = parameters(dtype);
      for (int k = 0; k < 3; ++k) {
        step(*plain, a, k);
        step(*measured, b, k);
      }
      for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].weight.equal(b[i].weight));
      auto const kept = measured->state();
      for (auto const& [key, tensor] : plain->state()) CHECK(tensor.equal(kept.at(key)));
      for (auto& slot : b) slot.weight.mutable_grad() = at::ones_like(slot.weight);
      CHECK(measured->step(b, {.step = 3}).metrics.at("l2_norm/update/global") > 0);
    }
  });
}

TEST_CASE("a broken gradient shows: its element at once, its block of 8-bit state afterwards") {
  for_each_form([](auto const& rule, Dtype dtype) {
    CAPTURE(name(rule));
    auto const optimizer = bind(rule);
    std::vector<Slot> slots{{.name = "w", .weight = start({2, 600}, dtype)}};
    auto gradient = at::ones({2, 600}, slots[0].weight.options());
    gradient[0][300] = std::nan("");
    slots[0].weight.mutable_grad() = gradient;
    optimizer->step(slots, {});
    auto const broken = [&] { return slots[0].weight.isnan().nonzero().size(0); };
    CHECK(broken() == 1);
    slots[0].weight.mutable_grad() = at::ones_like(gradient);
    optimizer->step(slots, {.step = 1});
    bool const blocks = optimizer->state().contains("optim.state.w.exp_avg_absmax");
    CHECK(broken() == (blocks ? 256 : 1));
    CHECK(slots[0].weight[0].narrow(0, 256, 256).isnan().all().template item<bool>() == blocks);
  });
}

TEST_CASE("gradients of bfloat16 are clipped by their norm") {
  auto const optimizer = bind(clip_norm(1.0) | plain_sgd(1.0) | weights_in(bf16_with_master));
  std::vector<Slot> slots{{.name = "w", .weight = at::zeros({5000}, bfloat16)}};
  slots[0].weight.mutable_grad() = at::full({5000}, 3.0, bfloat16);
  auto const report = optimizer->step(slots, {});
  CHECK(report.grad_norm == doctest::Approx(3 * std::sqrt(5000.0)).epsilon(1e-12));
  CHECK(optimizer->state().at("optim.state.w.master").to(float64).norm().item<double>() == doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("groups of rules with and without stored forms") {
  auto const optimizer = bind(grouped(adam() | weights_in(bf16_stochastic), groups(on<Kind::vector>(adam()), otherwise())));
  std::vector<Slot> slots{{.name = "m", .weight = start({4, 70}, bfloat16)}, {.name = "v", .weight = start({9}, float32)}};
  for (auto& slot : slots) slot.weight.mutable_grad() = at::ones_like(slot.weight);
  CHECK(optimizer->step(slots, {}).updated == 2);
  for (auto& slot : slots) slot.weight.mutable_grad() = at::ones_like(slot.weight);
  slots[1].weight = start({9}, bfloat16);
  slots[1].weight.mutable_grad() = at::ones({9}, bfloat16);
  auto const before = slots[0].weight.clone();
  CHECK_THROWS_WITH_AS(optimizer->step(slots, {}), doctest::Contains("'v': found a weight of BFloat16"), ShapeError);
  CHECK(slots[0].weight.equal(before));
}

TEST_CASE("what a rule cannot store is named, with the way out") {
  auto const refuses = [](auto const& rule, Slot slot, Dtype gradient, char const* words) {
    auto const optimizer = bind(rule);
    slot.weight.mutable_grad() = at::ones_like(slot.weight, gradient);
    std::vector<Slot> slots{slot};
    CHECK_THROWS_WITH_AS(optimizer->step(slots, {}), doctest::Contains(words), ShapeError);
  };
  refuses(adamw(), {.name = "w", .weight = start({4}, bfloat16)}, bfloat16,
          "'w': found a weight of BFloat16, which the rule 'adamw");
  refuses(adamw(), {.name = "w", .weight = start({4}, bfloat16)}, bfloat16, "append | weights_in(bf16_stochastic)");
  refuses(adam() | weights_in(bf16_kahan), {.name = "w", .weight = start({4}, bfloat16)}, float64, "expected a gradient of BFloat16");
  refuses(adam() | weights_in(bf16_kahan), {.name = "w", .weight = start({4}, float32)}, bfloat16, "expected a gradient of Float");
  refuses(adam() | store<"exp_avg">(bf16_stochastic), {.name = "w", .weight = start({4, 9}, float32), .shape = {8, 9}}, float32,
          "'w': expected Slot::offset to place a part");
  refuses(adam() | store<"exp_avg">(eight_bit_blocks), {.name = "w", .weight = start({4, 90}, float32), .shape = {4, 180}, .offset = {0, 90}},
          float32, "cuts a row inside a block of 256");
}

TEST_CASE("states of other forms are loaded, or named") {
  auto const run = [](auto const& rule, std::map<std::string, Tensor> const& state) {
    auto const optimizer = bind(rule);
    optimizer->load_state(state);
    std::vector<Slot> slots{{.name = "w", .weight = start({2, 300}, float32)}};
    slots[0].weight.mutable_grad() = at::ones({2, 300});
    optimizer->step(slots, {});
    return optimizer->state();
  };
  auto const plain = run(adam(), {}), halves = run(adam() | store<"exp_avg", "exp_avg_sq">(bf16_nearest), {});
  auto const blocks = run(adam() | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks), {});
  CHECK((run(adam(), halves).at("optim.state.w.exp_avg").scalar_type() == float32));
  CHECK((run(adam() | store<"exp_avg">(eight_bit_blocks), plain).at("optim.state.w.exp_avg").scalar_type() == at::kByte));
  CHECK(run(adam() | store<"exp_avg">(eight_bit_blocks), halves).at("optim.state.w.step").item<double>() == 2);
  auto const first = bind(adam());
  auto const report = first->load_state(run(adam() | store<"exp_avg">(bf16_nearest) | weights_in(bf16_kahan), plain));
  CHECK(report.extra.empty());
  CHECK(bind(adam() | weights_in(bf16_kahan))->load_state(plain).missing == std::vector<std::string>{"optim.state.w.compensation"});
  CHECK_THROWS_WITH_AS(first->load_state(blocks),
                       doctest::Contains("'optim.state.w.exp_avg': expected floating-point numbers, found Byte (8-bit blocks"), ShapeError);
  auto without = blocks;
  without.erase("optim.state.w.exp_avg_absmax");
  auto const lacking = bind(adam() | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks));
  CHECK(lacking->load_state(without).missing == std::vector<std::string>{"optim.state.w.exp_avg_absmax"});
}

TEST_CASE("a rule says its storage in its name") {
  CHECK(name(adamw() | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks) | weights_in(bf16_stochastic, {.seed = 3}))
            .ends_with("| store exp_avg exp_avg_sq as 8-bit blocks | weights in bf16 stochastic seed 3"));
}
