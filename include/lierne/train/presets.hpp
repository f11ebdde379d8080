// SPDX-License-Identifier: Apache-2.0
// The models compiled into a program, of which `--preset` chooses one.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "lierne/train/choice.hpp"
#include "lierne/train/options.hpp"
#include "lierne/train/trainable.hpp"

namespace lierne {

/// A model by name. `preset` makes it.
struct Preset {
  Choice::Entry entry;
  std::function<std::unique_ptr<Trainable>()> make;
};

namespace detail {

template <class Make>
Preset preset_of(std::string name, Make make) {
  using M = std::remove_cvref_t<decltype(make())>;
  auto meaning = lierne::name(M::record);
  if (M::plan_record != Plan{}) meaning += ", " + to_string(M::plan_record);
  return {{std::move(name), std::move(meaning)},
          [make] { return std::unique_ptr<Trainable>(std::make_unique<TrainableModel<M>>(make())); }};
}

}  // namespace detail

/// A record, and its plan, by name. Building nothing: the model is made when it is chosen.
/// Errors (compile time): those of `Model`. Example: `preset<gpt>("gpt")`, `preset<gpt, plan>("gpt-sharded")`.
template <auto spec, Plan plan = Plan{}>
Preset preset(std::string name) {
  return detail::preset_of(std::move(name), [] { return Model<spec, plan>{}; });
}

/// The same for a model that a function makes.
/// Example: `preset("gpt-probed", [] { return Model<gpt>{} | probes<ActivationRms>({.every = 100}); })`.
template <std::invocable Make>
Preset preset(std::string name, Make make) {
  return detail::preset_of(std::move(name), std::move(make));
}

/// Models by name. `presets` makes it; `Options::parse` adds `--preset`, and `Trainer` makes the chosen model.
class Presets : public Choice {
 public:
  explicit Presets(std::vector<Preset> all);

  /// The model that the options name, the first where they name none. Errors: `ArgumentError`, see `Choice::find`.
  std::unique_ptr<Trainable> make(Options const& options) const { return all_[find(options.preset)].make(); }

 private:
  std::vector<Preset> all_;
};

/// Joins models into a list. Each is compiled once, whatever the number of rules.
/// Errors: `ArgumentError` for two of one name. Compile time: none, or what has no name.
/// Example: `presets(preset<gpt>("gpt"), preset<wide>("wide"))`.
template <class... All>
Presets presets(All... all) {
  static_assert(sizeof...(All) > 0, "presets: it needs a model (write presets(preset<gpt>(\"gpt\")))");
  static_assert((std::same_as<All, Preset> && ...), "presets: each model needs a name (write presets(preset<gpt>(\"gpt\")))");
  std::vector<Preset> list;
  if constexpr ((std::same_as<All, Preset> && ...)) (list.push_back(std::move(all)), ...);
  return Presets(std::move(list));
}

#if LIERNE_BODIES
LIERNE_INLINE Presets::Presets(std::vector<Preset> all)
    : Choice("preset", &Options::preset, "presets", "model to train", detail::entries_of(all)), all_(std::move(all)) {}
#endif

}  // namespace lierne
