// SPDX-License-Identifier: Apache-2.0
// Several momenta at once, each with a memory of its own.
#pragma once

#include <cmath>
#include <utility>

#include "lierne/optim/recipe.hpp"

namespace lierne {

namespace detail {

template <FixedString name, std::size_t index>
consteval auto with_index() {
  static_assert(index < 10, "a stage of several momenta may have at most ten");
  char text[sizeof name.text + 2]{};
  char* at = text;
  for (char letter : name.view()) *at++ = letter;
  *at++ = '_';
  *at++ = static_cast<char>('0' + index);
  return FixedString(text);
}
template <FixedString name, std::size_t... k>
Fields<with_index<name, k>()...> indexed_fields(std::index_sequence<k...>);

/// The fields name_0, name_1 ...
template <FixedString name, std::size_t count>
using IndexedFields = decltype(indexed_fields<name>(std::make_index_sequence<count>{}));

}  // namespace detail

/// The mean of several velocities. Math: b_k <- β_k b_k + u; u <- Σ b_k / K.
/// Source: Lucas, Sun, Zemel and Grosse, arXiv 1804.00325.
template <std::size_t K, class Number = double>
struct AggregatedMomentum {
  static_assert(K >= 1, "aggregated momentum: it needs at least one factor (write aggmo<3>({.betas = {0, 0.9, 0.99}}))");
  using pipe_role = StageRole;
  using fields = detail::IndexedFields<"momentum_buffer", K>;
  static constexpr bool changes_direction = true;

  std::array<Number, K> betas{};

  constexpr auto coefficients(auto const&) const {
    std::array<Number, K + 1> numbers{};
    for (std::size_t k = 0; k < K; ++k) numbers[k] = betas[k];
    numbers[K] = Number(1.0 / static_cast<double>(K));
    return numbers;
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, auto&... velocity) {
    V const direction = at.direction;
    V sum = V(0);
    std::size_t k = 0;
    ((velocity = numbers[k++] * velocity + direction, sum = sum + velocity), ...);
    at.direction = numbers[K] * sum;
  }
  std::string name() const {
    std::string text = "aggregated momentum";
    for (auto const& beta : betas) text += " " + number(beta);
    return text;
  }
};

/// A weighted mix of the direction and several of its averages: `QuasiHyperbolic` with K memories.
/// Math: m_k <- m_k + (1 - β_k)(u - m_k); u <- (1 - Σν)u + Σ ν_k m_k.
template <std::size_t K, class Number = double>
struct MixedMomentum {
  static_assert(K >= 1, "mixed momentum: it needs at least one factor (write MixedMomentum<2>{{0.9, 0.999}, {0.5, 0.3}})");
  using pipe_role = StageRole;
  using fields = detail::IndexedFields<"exp_avg", K>;
  static constexpr bool changes_direction = true;

  std::array<Number, K> betas{};
  std::array<Number, K> nus{};

  constexpr auto coefficients(auto const&) const {
    std::array<Number, 2 * K + 1> numbers{};
    numbers[2 * K] = 1;
    for (std::size_t k = 0; k < K; ++k) {
      numbers[k] = 1 - betas[k];
      numbers[K + k] = nus[k];
      numbers[2 * K] = numbers[2 * K] - nus[k];
    }
    return numbers;
  }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, auto&... average) {
    V const direction = at.direction;
    V mix = numbers[2 * K] * direction;
    std::size_t k = 0;
    ((average = average + numbers[k] * (direction - average), mix = mix + numbers[K + k] * average, ++k), ...);
    at.direction = mix;
  }
  std::string name() const {
    std::string text = "mixed momentum";
    for (std::size_t k = 0; k < K; ++k) text += " " + number(betas[k]) + " nu " + number(nus[k]);
    return text;
  }
};

/// The settings of `aggmo`.
template <std::size_t K, class Number = double>
struct AggmoSettings {
  Number rate = 1e-3;
  std::array<Number, K> betas{};
};

template <std::size_t K, class Number>
constexpr auto aggmo(AggmoSettings<K, Number> settings) {
  return recipe("aggmo", settings.rate, AggregatedMomentum<K, Number>{settings.betas});
}
/// Math: u = Σ b_k / K of `AggregatedMomentum`. Source: arXiv 1804.00325, whose betas are 0, 0.9, 0.99.
/// Example: `aggmo<3>({.rate = 1e-2, .betas = {0, 0.9, 0.99}})`.
template <std::size_t K>
constexpr auto aggmo(AggmoSettings<K> settings) {
  return aggmo<K, double>(settings);
}

}  // namespace lierne
