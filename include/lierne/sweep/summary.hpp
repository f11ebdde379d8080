// SPDX-License-Identifier: Apache-2.0
// What a sweep found: its variants, each at its best tuned settings, best first, against a baseline.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/row.hpp"
#include "lierne/sweep/statistics.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>

#include "lierne/core/error.hpp"
#endif

namespace lierne {

/// Runs that differ by their seed alone.
struct Candidate {
  std::vector<Setting> tuned{};  ///< the settings that were looked for
  std::vector<Row> rows{};       ///< by seed, diverged ones included
  Estimate bits_per_byte{};      ///< over the rows that did not diverge
  int diverged = 0;
  std::int64_t diverged_at = 0;  ///< the earliest step at which one did; 0: none
  double rate = 0;               ///< of the first row
};

/// One combination of the compared settings.
struct Variant {
  std::string label{};              ///< its settings, joined by ", "
  std::vector<Setting> settings{};  ///< the compared ones
  std::vector<Candidate> candidates{};  ///< by tuned settings, in the order in which they ran
  std::size_t best = 0;             ///< of the candidates: none diverged if that can be, then the least mean
  PairedTest against{};             ///< the baseline, by seeds that diverged in neither
  double p_holm = std::numeric_limits<double>::quiet_NaN();  ///< p, corrected for the number of variants
  bool baseline = false;

  Candidate const& chosen() const { return candidates[best]; }
};

/// Variants, best first: those of which no chosen run diverged, by mean bits per byte; then the others.
struct Summary {
  std::vector<Variant> variants{};
};

/// Sorts rows into variants and tests each against its baseline.
/// `baseline` is the label of a variant, or one value of an axis: each variant is then tested against the one that has
/// this value and else the same settings. Empty: the first value of the first axis.
/// Errors: `ArgumentError` for a baseline that is neither, naming the labels that there are.
Summary summarise(std::span<Row const> rows, std::string const& baseline = {});

/// The summary as text in columns, one line for each variant.
std::string to_text(Summary const& summary);

#if LIERNE_BODIES
namespace detail {

inline std::string label_of(std::vector<Setting> const& settings) {
  std::string label;
  for (auto const& setting : settings) label += (label.empty() ? "" : ", ") + setting.value;
  return label;
}

inline std::vector<Setting> settings_where(std::vector<Setting> const& settings, bool tuned) {
  std::vector<Setting> chosen;
  std::ranges::copy_if(settings, std::back_inserter(chosen), [&](auto const& s) { return s.tuned == tuned; });
  return chosen;
}

template <class Range, class Make, class Same>
auto& found_or_made(Range& range, Same const& same, Make const& make) {
  auto const found = std::ranges::find_if(range, same);
  return found != range.end() ? *found : range.emplace_back(make());
}

inline bool better(Candidate const& a, Candidate const& b) {
  if ((a.diverged == 0) != (b.diverged == 0)) return a.diverged == 0;
  if (a.bits_per_byte.count == 0 || b.bits_per_byte.count == 0) return a.bits_per_byte.count > b.bits_per_byte.count;
  return a.bits_per_byte.mean < b.bits_per_byte.mean;
}

inline void measure(Candidate& candidate) {
  std::vector<double> whole;
  std::ranges::stable_sort(candidate.rows, {}, &Row::seed);
  for (auto const& row : candidate.rows) {
    if (row.diverged_at == 0) {
      whole.push_back(row.bits_per_byte);
      continue;
    }
    ++candidate.diverged;
    auto& earliest = candidate.diverged_at;
    earliest = earliest == 0 ? row.diverged_at : std::min(earliest, row.diverged_at);
  }
  candidate.bits_per_byte = estimate(whole);
  candidate.rate = candidate.rows.front().rate;
}

// The settings of the variant that a variant is tested against.
inline std::vector<Setting> baseline_of(Variant const& variant, std::vector<Variant> const& all,
                                        std::string const& baseline) {
  for (auto const& other : all) {
    if (other.label == baseline) return other.settings;
  }
  auto settings = variant.settings;
  for (std::size_t axis = 0; axis < settings.size(); ++axis) {
    auto const names = [&](Variant const& other) { return other.settings[axis].value == baseline; };
    if (!std::ranges::any_of(all, names)) continue;
    settings[axis].value = baseline;
    return settings;
  }
  std::string labels;
  for (auto const& other : all) labels += (labels.empty() ? "'" : ", '") + other.label + "'";
  throw ArgumentError(message("sweep: expected the baseline to be a variant or a value of an axis, found '", baseline,
                              "' (there are ", labels, ")"));
}

inline void test(Variant& variant, Variant const& baseline) {
  std::map<std::uint64_t, double> theirs;
  for (auto const& row : baseline.chosen().rows) {
    if (row.diverged_at == 0) theirs[row.seed] = row.bits_per_byte;
  }
  std::vector<double> a, b;
  for (auto const& row : variant.chosen().rows) {
    auto const pair = theirs.find(row.seed);
    if (row.diverged_at != 0 || pair == theirs.end()) continue;
    a.push_back(row.bits_per_byte);
    b.push_back(pair->second);
  }
  variant.against = paired_test(a, b);
}

inline std::string probability(double p) { return p < 0.001 ? "<0.001" : fixed(p, 3); }

inline std::string diverged_note(Candidate const& candidate) {
  if (candidate.diverged == 0) return "";
  return message(candidate.diverged, " of ", candidate.rows.size(), " diverged, first at step ", candidate.diverged_at);
}

inline std::string mean_and_error(Estimate const& estimate) {
  if (estimate.count == 0) return "";
  return fixed(estimate.mean, 4) + (estimate.count > 1 ? " ± " + fixed(estimate.error, 4) : "");
}

// The characters of UTF-8 text.
inline std::size_t width(std::string const& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// Heads and cells of the table, which the terminal and the page share.
inline std::vector<std::vector<std::string>> cells(Summary const& summary) {
  std::vector<std::vector<std::string>> lines{{""}};
  if (summary.variants.empty()) return lines;
  for (auto const& setting : summary.variants.front().settings) lines[0].push_back(setting.axis);
  for (auto const& setting : summary.variants.front().chosen().tuned) {
    if (setting.axis != "rate") lines[0].push_back(setting.axis);
  }
  for (char const* head : {"rate", "bits/byte", "runs", "difference", "t", "p", "p (Holm)", ""}) lines[0].push_back(head);
  for (std::size_t i = 0; i < summary.variants.size(); ++i) {
    auto const& variant = summary.variants[i];
    auto const& chosen = variant.chosen();
    auto& line = lines.emplace_back();
    line.push_back(std::to_string(i + 1));
    for (auto const& setting : variant.settings) line.push_back(setting.value);
    for (auto const& setting : chosen.tuned) {
      if (setting.axis != "rate") line.push_back(setting.value);
    }
    line.push_back(number(chosen.rate));
    line.push_back(mean_and_error(chosen.bits_per_byte));
    line.push_back(std::to_string(chosen.rows.size()));
    if (variant.baseline) {
      line.insert(line.end(), {"baseline", "", "", ""});
    } else {
      line.push_back(fixed(variant.against.difference.mean, 4, true));
      line.push_back(fixed(variant.against.t, 2));
      line.push_back(probability(variant.against.p));
      line.push_back(probability(variant.p_holm));
    }
    line.push_back(diverged_note(chosen));
  }
  return lines;
}

}  // namespace detail

LIERNE_INLINE Summary summarise(std::span<Row const> rows, std::string const& baseline) {
  Summary summary;
  auto& variants = summary.variants;
  for (auto const& row : rows) {
    auto const compared = detail::settings_where(row.settings, false), tuned = detail::settings_where(row.settings, true);
    auto& variant = detail::found_or_made(
        variants, [&](Variant const& v) { return v.settings == compared; },
        [&] { return Variant{.label = detail::label_of(compared), .settings = compared}; });
    auto& candidate = detail::found_or_made(
        variant.candidates, [&](Candidate const& c) { return c.tuned == tuned; }, [&] { return Candidate{.tuned = tuned}; });
    candidate.rows.push_back(row);
  }
  for (auto& variant : variants) {
    for (auto& candidate : variant.candidates) detail::measure(candidate);
    auto const best = std::ranges::min_element(variant.candidates, detail::better);
    variant.best = static_cast<std::size_t>(best - variant.candidates.begin());
  }
  if (!variants.empty() && !(variants.front().settings.empty() && baseline.empty())) {
    auto const wanted = baseline.empty() ? variants.front().settings.front().value : baseline;
    for (auto& variant : variants) {
      auto const settings = detail::baseline_of(variant, variants, wanted);
      variant.baseline = settings == variant.settings;
      auto const other = std::ranges::find(variants, settings, &Variant::settings);
      if (!variant.baseline && other != variants.end()) detail::test(variant, *other);
    }
    std::vector<double> probabilities;
    for (auto const& variant : variants) probabilities.push_back(variant.against.p);
    auto const adjusted = holm(probabilities);
    for (std::size_t i = 0; i < variants.size(); ++i) variants[i].p_holm = adjusted[i];
  }
  std::ranges::stable_sort(variants, [](auto const& a, auto const& b) { return detail::better(a.chosen(), b.chosen()); });
  return summary;
}

LIERNE_INLINE std::string to_text(Summary const& summary) {
  auto const lines = detail::cells(summary);
  std::vector<std::size_t> widths(lines.front().size());
  for (auto const& line : lines) {
    for (std::size_t k = 0; k < line.size(); ++k) widths[k] = std::max(widths[k], detail::width(line[k]));
  }
  std::string text;
  for (auto const& line : lines) {
    std::string shown;
    for (std::size_t k = 0; k < line.size(); ++k) {
      if (widths[k] == 0) continue;
      shown += line[k] + std::string(widths[k] - detail::width(line[k]) + 2, ' ');
    }
    text += shown.substr(0, shown.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}
#endif

}  // namespace lierne
