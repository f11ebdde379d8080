// SPDX-License-Identifier: Apache-2.0
// A row of a sweep: one run, what identifies it and what came of it, as one line of JSON.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lierne/core/error.hpp"
#include "lierne/core/hash.hpp"
#endif

namespace lierne {

/// The value that one axis of a sweep has in a run, by name.
struct Setting {
  std::string axis;
  std::string value;
  bool tuned = false;  ///< of an axis whose best value is looked for, not compared
  friend bool operator==(Setting const&, Setting const&) = default;
};

/// A point of a loss curve.
struct CurvePoint {
  double step = 0;  ///< from 1; the middle of the steps that the point stands for
  double loss = 0;  ///< their mean, nats a token
  friend bool operator==(CurvePoint const&, CurvePoint const&) = default;
};

/// One run. Units: losses in nats a token.
struct Row {
  std::string key{};                ///< `row_key` of all that determines the numbers below
  std::vector<Setting> settings{};  ///< in the order of the axes; the seed is not among them
  std::string spec{};
  std::string rule{};
  double rate = 0;             ///< initial rate
  std::uint64_t seed = 0;
  std::uint64_t data = 0;      ///< fingerprint
  std::int64_t steps = 0;      ///< asked for
  std::int64_t diverged_at = 0;  ///< the first step whose loss was not finite; 0: the run is whole
  double loss = std::numeric_limits<double>::quiet_NaN();             ///< of the last step
  double validation_loss = std::numeric_limits<double>::quiet_NaN();  ///< NaN where the run diverged
  double bits_per_byte = std::numeric_limits<double>::quiet_NaN();    ///< of the held-out text
  double seconds = 0;
  std::vector<CurvePoint> curve{};
  std::map<std::string, double> measured{};  ///< what monitor, probes and loads of experts last said, by their keys
};

/// The row as one line of JSON, without the line's end. A number that is not finite is null.
std::string to_json(Row const& row);

/// Reads what `to_json` wrote. Errors: `FileError` that begins with `where`.
Row row_from_json(std::string_view text, std::string const& where);

/// The key of a run: the hash of names and values, in their order, as 16 hexadecimal digits; the same on every machine.
/// Math: 64-bit FNV-1a over `length:name=length:value;` for each, so that no two lists are written alike.
std::string row_key(std::span<std::pair<std::string, std::string> const> parts);

/// The hash of this process's executable file, as 16 hexadecimal digits. Read once.
/// Errors: `FileError` where the system does not show it.
std::string binary_id();

/// A curve of at most `most` points: the means of equal stretches of the losses of steps 1, 2, ...
std::vector<CurvePoint> thinned(std::span<double const> losses, std::size_t most = 200);

#if LIERNE_BODIES
namespace detail {

inline std::string hexadecimal(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

inline double number_or_nan(nlohmann::json const& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

}  // namespace detail

LIERNE_INLINE std::string to_json(Row const& row) {
  nlohmann::ordered_json settings = nlohmann::ordered_json::array();
  for (auto const& s : row.settings) settings.push_back({{"axis", s.axis}, {"value", s.value}, {"tuned", s.tuned}});
  nlohmann::ordered_json steps = nlohmann::ordered_json::array(), losses = nlohmann::ordered_json::array();
  for (auto const& point : row.curve) {
    steps.push_back(point.step);
    losses.push_back(point.loss);
  }
  return nlohmann::ordered_json{{"key", row.key}, {"settings", settings}, {"spec", row.spec}, {"rule", row.rule},
                                {"rate", row.rate}, {"seed", row.seed}, {"data", row.data}, {"steps", row.steps},
                                {"diverged_at", row.diverged_at}, {"loss", row.loss},
                                {"validation_loss", row.validation_loss}, {"bits_per_byte", row.bits_per_byte},
                                {"seconds", row.seconds}, {"curve", {{"step", steps}, {"loss", losses}}},
                                {"measured", row.measured}}
      .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

LIERNE_INLINE Row row_from_json(std::string_view text, std::string const& where) {
  try {
    auto const json = nlohmann::json::parse(text);
    Row row{.key = json.at("key"), .spec = json.at("spec"), .rule = json.at("rule"), .rate = json.at("rate"),
            .seed = json.at("seed"), .data = json.at("data"), .steps = json.at("steps"),
            .diverged_at = json.at("diverged_at"), .loss = detail::number_or_nan(json.at("loss")),
            .validation_loss = detail::number_or_nan(json.at("validation_loss")),
            .bits_per_byte = detail::number_or_nan(json.at("bits_per_byte")), .seconds = json.at("seconds")};
    for (auto const& s : json.at("settings")) row.settings.push_back({s.at("axis"), s.at("value"), s.at("tuned")});
    auto const& steps = json.at("curve").at("step");
    auto const& losses = json.at("curve").at("loss");
    check<FileError>(steps.size() == losses.size(), where, ": expected a curve of as many losses as steps, found ",
                     losses.size(), " and ", steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      row.curve.push_back({steps[i].get<double>(), detail::number_or_nan(losses[i])});
    }
    if (auto const measured = json.find("measured"); measured != json.end()) {
      for (auto const& [key, value] : measured->items()) row.measured[key] = detail::number_or_nan(value);
    }
    return row;
  } catch (nlohmann::json::exception const& error) {
    throw FileError(message(where, ": expected a row of a sweep, found a line that is none: ", error.what()));
  }
}

LIERNE_INLINE std::string row_key(std::span<std::pair<std::string, std::string> const> parts) {
  std::uint64_t h = hash_start;
  for (auto const& [name, value] : parts) {
    h = hash(message(name.size(), ":", name, "=", value.size(), ":", value, ";"), h);
  }
  return detail::hexadecimal(h);
}

LIERNE_INLINE std::string binary_id() {
  static std::string const id = [] {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    check<FileError>(file.good(), "/proc/self/exe: expected this program's file, found nothing to read");
    std::uint64_t h = hash_start;
    std::vector<char> part(1 << 20);
    while (file.read(part.data(), static_cast<std::streamsize>(part.size())), file.gcount() > 0) {
      h = hash({part.data(), static_cast<std::size_t>(file.gcount())}, h);
    }
    return detail::hexadecimal(h);
  }();
  return id;
}

LIERNE_INLINE std::vector<CurvePoint> thinned(std::span<double const> losses, std::size_t most) {
  std::vector<CurvePoint> curve;
  auto const points = std::min(most, losses.size());
  for (std::size_t i = 0; i < points; ++i) {
    auto const begin = i * losses.size() / points, end = (i + 1) * losses.size() / points;
    double sum = 0;
    for (auto k = begin; k < end; ++k) sum += losses[k];
    curve.push_back({0.5 * static_cast<double>(begin + end + 1), sum / static_cast<double>(end - begin)});
  }
  return curve;
}
#endif

}  // namespace lierne
