// SPDX-License-Identifier: Apache-2.0
// How a rule's fields and weights are stored between steps, as pieces of its pipe. Sees the standard library only.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/optim/pass.hpp"

namespace lierne {

/// A form in which numbers are kept between steps. A step itself computes in float32 (float64 for weights of float64).
///
/// * `bf16_nearest`: rounded to the nearest, halves to even. A change below half a unit in the last place (2^-9 of the
///   number) is lost, every time.
/// * `bf16_stochastic`: rounded up or down with a probability by which the mean is exact; what bf16 can hold stays. The
///   16 random bits of an element hang on seed, name of the parameter and field, its count of calls and the element's
///   index in the whole parameter.
/// * `eight_bit_blocks`, fields only: 8-bit codes of a dynamic map, and the largest magnitude of each block (float32).
///   See optim/kernel/eight_bit.hpp.
/// * `bf16_kahan`, weights only: the weight w and the rest c that rounding left, both bf16, kept as the field
///   `compensation`. The rule computes on w + c. As a sum that Kahan compensates; the pair holds 17 bits.
/// * `bf16_with_master`, weights only: a float32 copy, kept as the field `master`, is the weight; its nearest bf16 is
///   what the model reads.
enum class Storage { plain, bf16_nearest, bf16_stochastic, eight_bit_blocks, bf16_kahan, bf16_with_master };

/// A form as an argument of `store` and `weights_in`.
template <Storage form>
struct StorageForm {};

inline constexpr StorageForm<Storage::bf16_nearest> bf16_nearest{};
inline constexpr StorageForm<Storage::bf16_stochastic> bf16_stochastic{};
inline constexpr StorageForm<Storage::eight_bit_blocks> eight_bit_blocks{};
inline constexpr StorageForm<Storage::bf16_kahan> bf16_kahan{};
inline constexpr StorageForm<Storage::bf16_with_master> bf16_with_master{};

/// The form as text: `bf16 stochastic`.
constexpr char const* to_string(Storage form) {
  constexpr char const* names[] = {"plain", "bf16 nearest", "bf16 stochastic", "8-bit blocks", "bf16 kahan", "bf16 with master"};
  return names[static_cast<int>(form)];
}

/// A form with the seed of its random bits.
struct StoredAs {
  Storage form = Storage::plain;
  std::uint64_t seed = 0;
};

/// The storage of a whole rule.
struct RuleStorage {
  std::vector<StoredAs> fields{};  ///< in pipe order; empty where a rule says nothing of storage
  StoredAs weights{};
};

/// Settings of `store` and `weights_in`.
struct StorageSettings {
  std::uint64_t seed = 0;  ///< of stochastic rounding
};

/// The stored form of fields; made by `store`.
template <auto... names>
struct StoredFields {
  using pipe_role = StageRole;

  static constexpr bool passive = true;
  static constexpr bool stores = true;

  StoredAs as;

  template <class V>
  static constexpr void element(auto const&, Element<V>&) {}
  template <Place place, bool>
  static consteval void check_place() {
    static_assert(place == Place::after_recipe, "store: it must stand after the recipe (write adamw(...) | store<...>(...))");
  }
  template <class Rule>
  static consteval void check_in_rule();
  /// Errors: `ArgumentError` for a field that is not among `fields`, or is stored in two forms.
  void write_storage(std::span<std::string_view const> fields, RuleStorage& storage) const;
  std::string name() const {
    std::string text = "store";
    for (auto name : {names.view()...}) text.append(" ").append(name);
    return text + " as " + to_string(as.form) + (as.seed != 0 ? " seed " + std::to_string(as.seed) : "");
  }
};

/// The stored form of weights; made by `weights_in`.
struct StoredWeights {
  using pipe_role = StageRole;

  static constexpr bool passive = true;
  static constexpr bool stores = true;

  StoredAs as;

  template <class V>
  static constexpr void element(auto const&, Element<V>&) {}
  template <Place place, bool>
  static consteval void check_place() {
    static_assert(place == Place::after_recipe, "weights_in: it must stand after the recipe (write adamw(...) | weights_in(...))");
  }
  template <class Rule>
  static consteval void check_in_rule();
  /// Errors: `ArgumentError` where another piece has said it.
  void write_storage(std::span<std::string_view const> /*fields*/, RuleStorage& storage) const {
    check(storage.weights.form == Storage::plain, "weights_in: the rule says it twice");
    storage.weights = as;
  }
  std::string name() const {
    return std::string("weights in ") + to_string(as.form) + (as.seed != 0 ? " seed " + std::to_string(as.seed) : "");
  }
};

/// Keeps fields of the rule in fewer bits. Numerics: see `Storage`; weights of float64 compute in float64.
/// Under `eight_bit_blocks` fields that never are negative (`..._sq`, `square_avg`) take a map without negative codes, and
/// parameters of one dimension, or with rows of fewer than 64 elements, keep float32.
/// State: the key of a field holds what is stored: bfloat16, or uint8 beside `<field>_absmax`, float32 with one number
/// for each block of a row.
/// Errors (compile time): it stands after the recipe; the rule keeps the fields; each is stored once.
/// Example: `adamw() | store<"exp_avg", "exp_avg_sq">(eight_bit_blocks)`, `store<"exp_avg">(bf16_stochastic, {.seed = 7})`.
template <FixedString... names, Storage form>
constexpr StoredFields<names...> store(StorageForm<form>, StorageSettings settings = {}) {
  static_assert(sizeof...(names) > 0, "store: it must name a field (write store<\"exp_avg\">(bf16_stochastic))");
  static_assert(form == Storage::bf16_nearest || form == Storage::bf16_stochastic || form == Storage::eight_bit_blocks,
                "store: a field is stored as bf16_nearest, bf16_stochastic or eight_bit_blocks (for weights write weights_in)");
  return {{form, settings.seed}};
}

/// Says how weights of bfloat16 are updated; their gradients may be bfloat16 or float32. Weights of float32 and float64
/// are updated as ever, so that norms may stay in float32.
/// Errors (compile time): it stands after the recipe, once.
/// Example: `adamw() | decay(0.1, times_rate) | weights_in(bf16_stochastic)`.
template <Storage form>
constexpr StoredWeights weights_in(StorageForm<form>, StorageSettings settings = {}) {
  static_assert(form != Storage::eight_bit_blocks && form != Storage::plain,
                "weights_in: weights are kept as bf16_nearest, bf16_stochastic, bf16_kahan or bf16_with_master (8-bit blocks are "
                "for fields: store<\"exp_avg\">(eight_bit_blocks))");
  return {{form, settings.seed}};
}

namespace detail {

// How often a piece of storage in a pipe is of this type of weights, or stores this field.
template <class Node>
inline constexpr int weights_said = std::same_as<Node, StoredWeights>;
template <class Left, class Right>
inline constexpr int weights_said<Pipe<Left, Right>> = weights_said<Left> + weights_said<Right>;

template <auto field, class Node>
inline constexpr int times_stored = 0;
template <auto field, auto... names>
inline constexpr int times_stored<field, StoredFields<names...>> = (0 + ... + (names.view() == field.view()));
template <auto field, class Left, class Right>
inline constexpr int times_stored<field, Pipe<Left, Right>> = times_stored<field, Left> + times_stored<field, Right>;

template <class Node>
inline constexpr bool has_storage = std::same_as<Node, StoredWeights>;
template <auto... names>
inline constexpr bool has_storage<StoredFields<names...>> = true;
template <class Left, class Right>
inline constexpr bool has_storage<Pipe<Left, Right>> = has_storage<Left> || has_storage<Right>;

template <auto name, auto... fields>
consteval bool keeps_field(FieldList<fields...>) {
  return (false || ... || (fields.view() == name.view()));
}

template <auto field, class Rule>
consteval void check_stored_field() {
  static_assert(keeps_field<field>(typename FieldsUnder<Rule>::type{}),
                "store: the rule keeps no field of the name that is this function's first argument (adamw keeps exp_avg and "
                "exp_avg_sq; a labelled stage puts its label before the name)");
  static_assert(times_stored<field, Rule> == 1, "store: a field is stored in two forms (leave one out)");
}

// What the pieces of a rule say of storage.
template <class Node>
RuleStorage storage_of(Node const& node, std::span<std::string_view const> fields) {
  RuleStorage storage{.fields = std::vector<StoredAs>(fields.size())};
  for_each_piece(node, [&](auto const& piece) {
    if constexpr (requires { piece.write_storage(fields, storage); }) piece.write_storage(fields, storage);
  });
  return storage;
}

}  // namespace detail

template <auto... names>
template <class Rule>
consteval void StoredFields<names...>::check_in_rule() {
  (detail::check_stored_field<names, Rule>(), ...);
}

template <class Rule>
consteval void StoredWeights::check_in_rule() {
  using Fields = typename detail::FieldsUnder<Rule>::type;
  static_assert(detail::weights_said<Rule> == 1, "weights_in: a rule says it once (leave one out)");
  static_assert(!detail::keeps_field<FixedString("master")>(Fields{}) && !detail::keeps_field<FixedString("compensation")>(Fields{}),
                "weights_in: the names master and compensation are its own (rename the stage's field by a label)");
}

template <auto... names>
void StoredFields<names...>::write_storage(std::span<std::string_view const> fields, RuleStorage& storage) const {
  for (auto name : {names.view()...}) {
    auto const found = std::find(fields.begin(), fields.end(), name);
    check(found != fields.end(), "store: the rule keeps no field '", name, "'");
    auto& stored = storage.fields[static_cast<std::size_t>(found - fields.begin())];
    check(stored.form == Storage::plain, "store: the field '", name, "' is stored in two forms");
    stored = as;
  }
}

}  // namespace lierne
