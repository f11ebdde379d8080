// SPDX-License-Identifier: Apache-2.0
// The monitor: what a rule did to its parameters in a step, measured inside the pass. Sees the standard library only.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/optim/recipe.hpp"

namespace lierne {

/// A stage that changes nothing and measures the step: written last in a rule. A rule without it runs the same code as
/// ever, and so do the steps in between of a rule with it.
///
/// Keys in `StepReport::metrics`, each followed by `/` and the parameter's name, or by `/global` for all together:
/// `l2_norm/grad` (as the rule got it, after clipping by the norm), `l2_norm/moment`, `l2_norm/moment2`, `min/moment2`,
/// `max/moment2` (state after the step), `l2_norm/param` (after), `l2_norm/update` (weights before minus after, decay
/// included), `cosine/update_grad` (0 where either norm is 0), `share/clipped` (of a rule with `clip_elements`).
/// A parameter without gradient reports nothing. The moment is the field `exp_avg` or `momentum_buffer`, the second
/// moment `exp_avg_sq`, `square_avg` or `second_momentum_buffer`; a rule without one has no key of it.
/// Numerics: sums in double; on the fused path in an order that does not depend on the number of threads. Over ranks
/// every element counts once. The other paths, and weights on a GPU, take a measured step tensor by tensor, with copies.
/// Errors (compile time): it stands after the recipe.
/// Example: `clip_norm(1.0) | adamw() | decay(0.1, times_rate) | monitor({.every = 10})`.
struct Monitor {
  using pipe_role = StageRole;
  static constexpr bool passive = true;

  std::int64_t every = 10;  ///< steps 10, 20 ... of the run are measured; 0 or less: none
  bool only_global = true;  ///< no keys of single parameters

  /// Whether the step after `finished` steps is measured.
  constexpr bool due(std::int64_t finished) const { return every > 0 && (finished + 1) % every == 0; }

  template <class V>
  static constexpr void element(auto const&, Element<V>&) {}
  template <Place place, bool>
  static consteval void check_place() {
    static_assert(place == Place::after_recipe, "monitor: it must stand after the recipe (write adamw(...) | monitor())");
  }
  template <bool in_backward>
  static consteval void check_in_backward() {
    static_assert(!in_backward, "bind_in_backward: monitor sums over all parameters of a step "
                                "(leave it out, or use bind)");
  }
  std::string name() const { return "monitor every " + std::to_string(every); }
};

/// Example: `adamw() | monitor()`, `adamw() | monitor({.every = 1, .only_global = false})`.
constexpr Monitor monitor(Monitor settings = {}) { return settings; }

/// What is summed over the elements of a parameter. Sums of parts add up by `add`.
struct MonitorSums {
  double elements = 0;  ///< of a rule with clip_elements
  double moment = 0;    ///< squares, as all that follow up to `gradient`
  double moment2 = 0;
  double weight = 0;    ///< after the step
  double update = 0;    ///< before minus after
  double gradient = 0;
  double dot = 0;       ///< update · gradient
  double clipped = 0;   ///< elements that clip_elements changed
  double present = 0;   ///< 1 where the parameter had a gradient
  double negative_smallest = -std::numeric_limits<double>::infinity();  ///< of the second moment, with its sign turned
  double largest = -std::numeric_limits<double>::infinity();

  static constexpr std::size_t sum_count = 9;
  static constexpr std::size_t maximum_count = 2;

  void add(MonitorSums const& other);
};

/// The parameters of one rule in a step, and which of the numbers it has.
struct MonitorBook {
  bool moment = false;
  bool moment2 = false;
  bool clipped = false;
  std::vector<std::pair<std::string, MonitorSums>> parameters{};
};

/// Replaces the first by their sums over all ranks, the second by their maxima.
using ReduceOverRanks = std::function<void(std::span<double> sums, std::span<double> maxima)>;

/// The metrics of a step from what the rules of this rank have summed.
std::map<std::string, double> monitor_metrics(std::vector<MonitorBook> books, bool only_global,
                                              ReduceOverRanks const& reduce);

namespace detail {

// The monitor of a rule, or none.
template <class Node>
constexpr Monitor const* find_monitor(Node const& node) {
  if constexpr (PipeNode<Node>) {
    auto const* const left = find_monitor(node.left);
    return left != nullptr ? left : find_monitor(node.right);
  } else if constexpr (std::same_as<Node, Monitor>) {
    return &node;
  } else {
    return nullptr;
  }
}

template <class Node>
inline constexpr bool has_monitor = std::same_as<Node, Monitor>;
template <class Left, class Right>
inline constexpr bool has_monitor<Pipe<Left, Right>> = has_monitor<Left> || has_monitor<Right>;

template <class Node>
inline constexpr bool only_monitors = std::same_as<Node, Monitor>;
template <class Left, class Right>
inline constexpr bool only_monitors<Pipe<Left, Right>> = only_monitors<Left> && only_monitors<Right>;

// The rule that a monitor looks at.
template <class Node>
constexpr auto without_monitor(Node const& node) {
  if constexpr (!has_monitor<Node>) {
    return node;
  } else if constexpr (only_monitors<decltype(Node::right)>) {
    return without_monitor(node.left);
  } else if constexpr (only_monitors<decltype(Node::left)>) {
    return without_monitor(node.right);
  } else {
    return Pipe{without_monitor(node.left), without_monitor(node.right)};
  }
}

// Whether a stage counts the elements that it clips (`CountingElement`).
template <class Node>
inline constexpr bool counts_clipped = requires { requires Node::counts_clipped; };
template <class Left, class Right>
inline constexpr bool counts_clipped<Pipe<Left, Right>> = counts_clipped<Left> || counts_clipped<Right>;
template <class Number, class Body>
inline constexpr bool counts_clipped<Recipe<Number, Body>> = counts_clipped<Body>;
template <auto label, class S>
inline constexpr bool counts_clipped<LabelledStage<label, S>> = counts_clipped<S>;

}  // namespace detail

#if LIERNE_BODIES
LIERNE_INLINE void MonitorSums::add(MonitorSums const& other) {
  elements += other.elements;
  moment += other.moment;
  moment2 += other.moment2;
  weight += other.weight;
  update += other.update;
  gradient += other.gradient;
  dot += other.dot;
  clipped += other.clipped;
  present += other.present;
  auto const larger = [](double a, double b) { return std::isnan(a) || a >= b ? a : b; };  // NaN is not lost
  negative_smallest = larger(negative_smallest, other.negative_smallest);
  largest = larger(largest, other.largest);
}

namespace detail {

inline void reduce_sums(std::vector<MonitorSums*> const& all, ReduceOverRanks const& reduce) {
  std::vector<double> sums, maxima;
  auto const visit = [](MonitorSums& s, auto&& sum, auto&& maximum) {
    for (double* at : {&s.elements, &s.moment, &s.moment2, &s.weight, &s.update, &s.gradient, &s.dot, &s.clipped, &s.present}) {
      sum(*at);
    }
    for (double* at : {&s.negative_smallest, &s.largest}) maximum(*at);
  };
  for (auto* one : all) visit(*one, [&](double& x) { sums.push_back(x); }, [&](double& x) { maxima.push_back(x); });
  reduce(sums, maxima);
  auto sum = sums.begin(), maximum = maxima.begin();
  for (auto* one : all) visit(*one, [&](double& x) { x = *sum++; }, [&](double& x) { x = *maximum++; });
}

inline void write_metrics(MonitorSums const& sums, MonitorBook const& has, std::string const& name,
                          std::map<std::string, double>& metrics) {
  if (sums.present == 0) return;
  auto const write = [&](char const* metric, double value) { metrics[metric + ("/" + name)] = value; };
  double const update = std::sqrt(sums.update), gradient = std::sqrt(sums.gradient);
  if (has.moment) write("l2_norm/moment", std::sqrt(sums.moment));
  if (has.moment2) {
    write("l2_norm/moment2", std::sqrt(sums.moment2));
    write("min/moment2", -sums.negative_smallest);
    write("max/moment2", sums.largest);
  }
  write("l2_norm/param", std::sqrt(sums.weight));
  write("l2_norm/update", update);
  write("l2_norm/grad", gradient);
  write("cosine/update_grad", update == 0 || gradient == 0 ? 0 : sums.dot / (update * gradient));
  if (has.clipped) write("share/clipped", sums.elements == 0 ? 0 : sums.clipped / sums.elements);
}

}  // namespace detail

LIERNE_INLINE std::map<std::string, double> monitor_metrics(std::vector<MonitorBook> books, bool only_global,
                                                            ReduceOverRanks const& reduce) {
  MonitorBook everything;
  MonitorSums global;
  std::vector<MonitorSums*> each;
  for (auto& book : books) {
    everything.moment |= book.moment;
    everything.moment2 |= book.moment2;
    everything.clipped |= book.clipped;
    for (auto& [name, sums] : book.parameters) each.push_back(&sums);
  }
  auto const sum_up = [&] {
    for (auto const* one : each) global.add(*one);
  };
  if (only_global) sum_up();
  std::vector<MonitorSums*> const reduced = only_global ? std::vector{&global} : each;
  if (reduce) detail::reduce_sums(reduced, reduce);
  if (!only_global) sum_up();
  std::map<std::string, double> metrics;
  detail::write_metrics(global, everything, "global", metrics);
  if (only_global) return metrics;
  for (auto const& book : books) {
    for (auto const& [name, sums] : book.parameters) detail::write_metrics(sums, book, name, metrics);
  }
  return metrics;
}
#endif

}  // namespace lierne
