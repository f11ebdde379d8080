// SPDX-License-Identifier: Apache-2.0
// What became of each name when state was loaded into something that may not be what it was saved from.
#pragma once

#include <string>
#include <vector>

#include "lierne/core/error.hpp"

namespace lierne {

/// What became of each key when a state was loaded: an optimizer's by the keys of its fields, a model's by the names of
/// its weights.
/// Example: `if (auto const report = load_weights(file, targets); !report.complete()) std::puts(report.str().c_str());`
struct LoadReport {
  std::vector<std::string> kept{};     ///< loaded
  std::vector<std::string> missing{};  ///< wanted and not there; they stay what they were, an optimizer's start at zero
  std::vector<std::string> extra{};    ///< there and not wanted

  /// Whether everything wanted was there, and nothing else.
  bool complete() const { return missing.empty() && extra.empty(); }
  /// The report in a line, with the names of what did not fit: `kept 12, missing 1 (norm.weight), extra 0`.
  std::string str() const;
};

namespace detail {

inline std::string listed(std::vector<std::string> const& names) {
  constexpr std::size_t most = 8;
  std::string text = std::to_string(names.size());
  for (std::size_t i = 0; i < names.size() && i < most; ++i) text += (i ? ", " : " (") + names[i];
  if (names.size() > most) text += message(" and ", names.size() - most, " more");
  return names.empty() ? text : text + ")";
}

}  // namespace detail

inline std::string LoadReport::str() const {
  return message("kept ", kept.size(), ", missing ", detail::listed(missing), ", extra ", detail::listed(extra));
}

}  // namespace lierne
