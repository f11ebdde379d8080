// SPDX-License-Identifier: Apache-2.0
// The parameter groups of muP and CompleteP: rates, decays and epsilons that carry from a small model to a large one.
#pragma once

#include <cmath>

#include "lierne/optim/decay.hpp"
#include "lierne/optim/groups.hpp"
#include "lierne/spec/scaling.hpp"

namespace lierne {

/// How ε follows width and depth.
enum class MupEpsilon {
  corrected,  ///< by 1/m_N; in blocks by m_N⁻¹ m_L^-α
  fork,       ///< by m_N⁻¹ m_L^-α everywhere: the table of torchtitan's fork, whose embedding gets too small an ε
  kept        ///< as the rule says: for ADOPT, whose ε is a floor that a scaled one would never be
};

/// The size of a model against the base at which rate, decay and ε were tuned.
struct MupSettings {
  double width = 1;           ///< m_N = width / base width
  double depth = 1;           ///< m_L = layers / base layers
  double exponent = 1;        ///< α of CompleteP: branches are scaled by m_L^-α
  bool scales_depth = true;   ///< whether the model scales its branches so; false: muP alone
  MupEpsilon epsilon = MupEpsilon::corrected;
};

/// The table of `mup_groups`, for rules whose decay has a form.
template <DecayForm form>
struct MupGroups {
  Groups groups;

  template <Stage Node>
  static consteval bool check_rule();
};

namespace detail {

Groups mup_table(MupSettings const& settings, bool decay_grows);

template <class Node>
inline constexpr bool divides_by_moment = requires { requires Node::divides_by_moment; };
template <class Left, class Right>
inline constexpr bool divides_by_moment<Pipe<Left, Right>> = divides_by_moment<Left> || divides_by_moment<Right>;
template <class Number, class Body>
inline constexpr bool divides_by_moment<Recipe<Number, Body>> = divides_by_moment<Body>;
template <auto label, class S>
inline constexpr bool divides_by_moment<LabelledStage<label, S>> = divides_by_moment<S>;

// Whether every decay of a rule has the form.
template <class Node, DecayForm form>
inline constexpr bool decays_by = true;
template <class Node, DecayForm form>
  requires requires { Node::decay_form; }
inline constexpr bool decays_by<Node, form> = Node::decay_form == form;
template <class Left, class Right, DecayForm form>
inline constexpr bool decays_by<Pipe<Left, Right>, form> = decays_by<Left, form> && decays_by<Right, form>;

}  // namespace detail

template <DecayForm form>
template <Stage Node>
consteval bool MupGroups<form>::check_rule() {
  static_assert(detail::divides_by_moment<Node>,
                "mup_groups: the rule must divide by a second moment, as adamw and adopt do "
                "(for sgd, lion or muon write groups(on<Kind::matrix>({.rate = 0.5}), otherwise()) with your own factors)");
  static_assert(detail::decays_by<Node, form>,
                "mup_groups: its decay form must be the rule's, or decay is wrong by the width multiplier "
                "(write mup_groups(times_schedule, ...) for a rule with decay(0.01, times_schedule))");
  return true;
}

/// The size of a record with a `MuP` scaling against its base.
template <class Record>
MupSettings mup_settings(Record const& spec, MupEpsilon epsilon = MupEpsilon::corrected) {
  return {.width = spec.scaling.width_multiplier(spec.width),
          .depth = spec.scaling.depth_multiplier(spec.layers),
          .exponent = spec.scaling.exponent,
          .scales_depth = spec.scaling.base_layers != 0,
          .epsilon = epsilon};
}

/// The groups of muP and CompleteP for rules that divide by a second moment, as Adam and ADOPT do.
/// Math, with d = m_L^(α-1) (1 without depth scaling): embedding and output η, λ; vectors and norms of blocks ηd, 0;
/// matrices of blocks ηd/m_N, λm_N, other matrices η/m_N, λm_N; other vectors and norms η, 0. λm_N is λ for a form of
/// decay that the rate does not multiply: there nothing cancels the factor. ε by `MupEpsilon`.
/// Errors: `ArgumentError` for multipliers that are not positive. Compile time, where rule and groups meet: another kind
/// of rule, or another form of decay. Source: Dey et al., arXiv 2505.01618; ε after its eq. 40.
/// Example: `scheduled(adamw() | decay(0.1, times_rate), warmup(200), mup_groups(times_rate, {.width = 8, .depth = 3}))`.
template <DecayForm form>
MupGroups<form> mup_groups(DecayTag<form>, MupSettings const& settings) {
  static_assert(form != DecayForm::coupled,
                "mup_groups: the decay must be decoupled (write mup_groups(times_rate, ...) and decay(0.1, times_rate))");
  return {detail::mup_table(settings, form == DecayForm::times_rate)};
}

/// The same for a model record with a `MuP` scaling: its width and depth against its base.
/// Example: `scheduled(adamw() | decay(0.1, times_rate), warmup(200), mup_groups(times_rate, gpt))`.
template <DecayForm form, class Record>
  requires requires(Record const& record) { record.scaling, record.width, record.layers; }
MupGroups<form> mup_groups(DecayTag<form> decay_form, Record const& spec, MupEpsilon epsilon = MupEpsilon::corrected) {
  static_assert(std::same_as<std::remove_cvref_t<decltype(spec.scaling)>, MuP>,
                "mup_groups: the record's scaling must be MuP (write Decoder{..., .scaling = MuP{.base_width = 256}})");
  return mup_groups(decay_form, mup_settings(spec, epsilon));
}

#if LIERNE_BODIES
namespace detail {

LIERNE_INLINE Groups mup_table(MupSettings const& settings, bool decay_grows) {
  auto const& [width, depth, exponent, scales_depth, epsilon] = settings;
  check(width > 0 && depth > 0, "mup_groups: width and depth must be positive, found ", width, " and ", depth);
  double const branch = scales_depth ? std::pow(depth, exponent - 1) : 1;
  double const decay = decay_grows ? width : 1;
  double const outside = epsilon == MupEpsilon::kept ? 1 : 1 / width;
  double inside = outside;
  if (epsilon == MupEpsilon::fork || (epsilon == MupEpsilon::corrected && scales_depth)) {
    inside *= std::pow(depth, -exponent);
  }
  double const table = epsilon == MupEpsilon::fork ? inside : outside;
  auto const vectors = of_kind(Kind::norm) || of_kind(Kind::vector);
  auto const tables = of_kind(Kind::embedding) || of_kind(Kind::output);
  auto const matrices = of_kind(Kind::matrix);
  auto result = groups(on(tables, {.epsilon = table}),
                       on(in_block() && vectors, {.rate = branch, .decay = 0, .epsilon = inside}),
                       on(in_block() && matrices, {.rate = branch / width, .decay = decay, .epsilon = inside}),
                       on(matrices && !in_block(), {.rate = 1 / width, .decay = decay, .epsilon = table}),
                       on(vectors && !in_block(), {.decay = 0, .epsilon = table}));
  for (auto& group : result.all) group.may_be_empty = true;
  return result;
}

}  // namespace detail
#endif

}  // namespace lierne
