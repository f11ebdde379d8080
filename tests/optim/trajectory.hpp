// SPDX-License-Identifier: Apache-2.0
// Replays a recorded run of a reference optimizer: the same gradients, weights compared after every call.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/optim/optim.hpp"

namespace lierne::test {

/// What the paths are called in messages.
inline char const* name(Path path) {
  return path == Path::fused ? "fused" : path == Path::foreach ? "foreach" : "loop";
}
inline constexpr Path all_paths[] = {Path::fused, Path::foreach, Path::loop};

/// A file of tests/golden/optim: start, gradients (some absent), rates, weights after each call, state after the last.
struct Trajectory {
  SafeTensors file;
  double initial_rate;
  double scale;  // deviations are divided by it

  explicit Trajectory(std::string const& name, std::string const& folder = LIERNE_GOLDEN "/optim")
      : file(SafeTensors::open(folder + "/" + name + ".f64.safetensors")),
        initial_rate(std::strtod(file.metadata().at("initial_lr").c_str() + 1, nullptr)),
        scale(std::max(1.0, std::strtod(file.metadata().at("max_abs_param").c_str(), nullptr))) {}

  /// The recorded rates as a schedule.
  Schedule schedule() const {
    auto const rates = file.tensor("lr/0");
    return [rates, initial = initial_rate](std::int64_t step, std::int64_t) { return rates[step].item<double>() / initial; };
  }
};

/// The largest deviation from the recorded float64 weights in a run of `rule` in `dtype`, and of the final state.
struct Deviation {
  double weights = 0;
  double evaluation = 0;  // of the weights to judge by, where the file has them
  double state = 0;
};

inline Deviation replay(Trajectory const& recorded, Optimizer& optimizer, Dtype dtype) {
  auto const& file = recorded.file;
  std::vector<Slot> slots;
  std::vector<Tensor> gradients, masks, weights;
  for (int i = 0; i < 3; ++i) {
    auto const index = "/" + std::to_string(i);
    slots.push_back({.name = "layer." + std::to_string(i), .weight = file.tensor("p0" + index).to(dtype)});
    gradients.push_back(file.tensor("grad" + index).to(dtype));
    masks.push_back(file.tensor("mask" + index));
    weights.push_back(file.tensor("traj" + index));
  }
  Deviation deviation;
  auto const steps = weights[0].size(0);
  for (std::int64_t k = 0; k < steps; ++k) {
    for (std::size_t i = 0; i < 3; ++i) {
      if (masks[i][k].item<std::int64_t>() != 0) slots[i].weight.mutable_grad() = gradients[i][k].clone();
    }
    optimizer.step(slots, {.step = k, .total = steps});
    for (std::size_t i = 0; i < 3; ++i) {
      auto const away = (slots[i].weight.to(float64) - weights[i][k]).abs().max().item<double>() / recorded.scale;
      // NaN must not be lost in a maximum.
      if (!(away <= deviation.weights)) deviation.weights = away;
    }
    if (!file.contains("eval/0")) continue;
    std::vector<Tensor> trained;
    for (auto const& slot : slots) trained.push_back(slot.weight.clone());
    {
      EvaluationWeights const judged(optimizer, slots);
      for (std::size_t i = 0; i < 3; ++i) {
        auto const expected = file.tensor("eval/" + std::to_string(i))[k];
        auto const away = (slots[i].weight.to(float64) - expected).abs().max().item<double>() / recorded.scale;
        if (!(away <= deviation.evaluation)) deviation.evaluation = away;
      }
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK(slots[i].weight.equal(trained[i]));
  }
  auto const source = file.metadata().find("source");
  bool const other_form = source != file.metadata().end() && source->second.find("qhoptim") != std::string::npos;
  if (other_form) return deviation;  // qhoptim keeps its averages normalised
  for (auto const& [key, tensor] : optimizer.state()) {
    auto const dot = key.rfind('.');
    auto const recorded_key = "state/" + key.substr(dot + 1) + "/" + key[dot - 1];
    if (!file.contains(recorded_key)) continue;  // some peers count calls elsewhere
    auto const expected = file.tensor(recorded_key);
    auto const away = (tensor.to(float64) - expected).abs().max().item<double>() / std::max(1.0, expected.abs().max().item<double>());
    if (!(away <= deviation.state)) deviation.state = away;
  }
  return deviation;
}

template <class Rule>
Deviation replay(Trajectory const& recorded, Rule const& rule, Path path, Dtype dtype) {
  return replay(recorded, *bind(scheduled(rule, recorded.schedule()), path), dtype);
}

/// Checks a rule against a recorded run on every path, in float64 and float32, by the bounds of the reference.
template <class Rule>
void check_trajectory(Trajectory const& recorded, Rule const& rule) {
  for (auto path : all_paths) {
    CAPTURE(name(path));
    auto const exact = replay(recorded, rule, path, float64);
    CHECK(exact.weights <= 1e-14);
    CHECK(exact.evaluation <= 1e-14);
    CHECK(exact.state <= 1e-14);
    auto const single = replay(recorded, rule, path, float32);
    CHECK(single.weights <= 4e-6);
    CHECK(single.evaluation <= 4e-6);
  }
}

}  // namespace lierne::test

#define LIERNE_CHECK_TRAJECTORY(name_of_file, rule)                                       \
  do {                                                                                    \
    CAPTURE(name_of_file);                                                                \
    lierne::test::check_trajectory(lierne::test::Trajectory(name_of_file), rule);         \
  } while (false)
