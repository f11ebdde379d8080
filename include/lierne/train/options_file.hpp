// SPDX-License-Identifier: Apache-2.0
// A TOML file as a second source of a program's command-line options.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/core/number.hpp"

#if LIERNE_BODIES
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "lierne/core/error.hpp"
#include "lierne/core/nearest.hpp"
#endif

namespace CLI {
class App;
}

namespace lierne {

/// Adds `--config FILE` to a CLI11 application: each option with a long name may then stand in a TOML file, under that name
/// with underscores (`--validate-every`: `validate_every = 100`), whether it was added before or after. What the command
/// line gives goes before the file. Flags take true and false, options of several values arrays. Paths are the working
/// directory's, not the file's. An option of the command line that is unknown is named with the nearest known one.
/// Errors (when it parses): `CLI::ParseError`: a file that cannot be read or is no TOML; an unknown key or option; a value of the
/// wrong type or outside its bounds. What is in the file is named by `file:line`.
void add_options_file(CLI::App& app);

/// A value as TOML writes it, which reads back as the same value. A number above the largest of TOML is written as text.
/// Example: `to_toml_value(1e-5)` is `1e-05`, `to_toml_value("a\"b")` is `"a\"b"`.
std::string to_toml_value(std::string_view text);
inline std::string to_toml_value(std::string const& text) { return to_toml_value(std::string_view(text)); }
inline std::string to_toml_value(char const* text) { return to_toml_value(std::string_view(text)); }
template <std::same_as<bool> Bool>
std::string to_toml_value(Bool value) {
  return value ? "true" : "false";
}
template <class Number>
  requires(std::integral<Number> && !std::same_as<Number, bool>)
std::string to_toml_value(Number value) {
  auto const text = std::to_string(value);
  return std::cmp_greater(value, std::numeric_limits<std::int64_t>::max()) ? '"' + text + '"' : text;
}
template <std::floating_point Number>
std::string to_toml_value(Number value) {
  auto const text = number(value);
  return text.find_first_of(".einf") == std::string::npos ? text + ".0" : text;  // 1e-05, inf and nan are floats as they are
}
/// A list as an array.
template <class T>
std::string to_toml_value(std::vector<T> const& list) {
  std::string text = "[";
  for (auto const& one : list) text += (text.size() > 1 ? ", " : "") + to_toml_value(one);
  return text + "]";
}

#if LIERNE_BODIES
LIERNE_INLINE std::string to_toml_value(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      (quoted += '\\') += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      quoted += code;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

namespace detail {

inline std::string option_of_key(std::string key) {
  std::ranges::replace(key, '_', '-');
  return "--" + key;
}

inline std::string key_of_option(std::string name) {
  std::ranges::replace(name, '-', '_');
  return name;
}

// What of an application may stand in the file: its options by key.
inline std::vector<std::pair<std::string, CLI::Option*>> options_by_key(CLI::App& app) {
  std::vector<std::pair<std::string, CLI::Option*>> known;
  for (auto* option : app.get_options({})) {
    if (option == app.get_help_ptr() || option == app.get_help_all_ptr() || option->check_lname("config")) continue;
    for (auto const& name : option->get_lnames()) known.emplace_back(key_of_option(name), option);
  }
  return known;
}

inline std::string found_text(toml::node const& node) {
  std::string found;
  node.visit([&](auto const& value) {
    using T = std::remove_cvref_t<decltype(value)>;
    if constexpr (std::is_same_v<T, toml::value<bool>>) found = value.get() ? "true" : "false";
    else if constexpr (std::is_same_v<T, toml::value<std::string>>) found = "text '" + value.get() + "'";
    else if constexpr (std::is_same_v<T, toml::value<std::int64_t>>) found = std::to_string(value.get());
    else if constexpr (std::is_same_v<T, toml::value<double>>) found = number(value.get());
    else if constexpr (std::is_same_v<T, toml::table>) found = "a table";
    else if constexpr (std::is_same_v<T, toml::array>) found = "an array";
    else found = "a date or time";
  });
  return found;
}

// What an option takes by the name that CLI11 gives its type; validators stand behind a colon.
struct Wanted {
  std::string type;
  bool several;

  explicit Wanted(CLI::Option const& option)
      : type(option.get_expected_max() == 0 || option.get_type_size() == 0 ? "flag" : option.get_type_name()),
        several(type != "flag" && option.get_items_expected_max() > 1) {
    type = type.substr(0, type.find_first_of(": "));
  }
  bool takes(toml::node const& node) const {
    if (type == "flag" || type == "BOOLEAN") return node.is_boolean();
    if (type == "INT") return node.is_integer();
    if (type == "UINT") return node.is_integer() ? node.as_integer()->get() >= 0 : large(node);
    if (type == "FLOAT") return node.is_number();
    if (type == "TEXT") return node.is_string();
    return node.is_value();
  }
  // A number that TOML's integers do not reach stands as text.
  static bool large(toml::node const& node) {
    if (!node.is_string()) return false;
    auto const& text = node.as_string()->get();
    std::uint64_t value = 0;
    auto const [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    return failed == std::errc() && end == text.data() + text.size() &&
           value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  }
  std::string what() const {
    std::string const one = type == "flag" || type == "BOOLEAN" ? "true or false"
                            : type == "INT"                     ? "a whole number"
                            : type == "UINT"                    ? "a whole number, 0 or more"
                            : type == "FLOAT"                   ? "a number"
                            : type == "TEXT"                    ? "text in quotes"
                                                                : "a value";
    return several ? one + ", or an array of such" : one;
  }
};

// A value as the command line would write it.
inline std::string argument_text(toml::node const& node) {
  if (auto const* text = node.as_string()) return text->get();
  if (auto const* real = node.as_floating_point()) return number(real->get());
  return found_text(node);
}

[[noreturn]] inline void refuse(std::string const& text) { throw CLI::ParseError(text, CLI::ExitCodes::ConfigError); }

inline void apply_entry(CLI::Option& option, std::string const& key, toml::node const& node, std::string const& where) {
  Wanted const wanted(option);
  std::vector<std::string> arguments;
  auto const take = [&](toml::node const& one) {
    if (!wanted.takes(one)) refuse(message(where, ": ", key, ": expected ", wanted.what(), ", found ", found_text(one)));
    arguments.push_back(argument_text(one));
  };
  if (wanted.several && node.is_array()) {
    for (auto const& one : *node.as_array()) take(one);
  } else {
    take(node);
  }
  if (option.count() > 0 || arguments.empty()) return;  // the command line goes before, and an empty array gives nothing
  try {
    option.add_result(std::move(arguments));
    option.run_callback();
  } catch (CLI::ParseError const& error) {
    std::string_view why = error.what();
    if (auto const own = option.get_name() + ": "; why.starts_with(own)) why.remove_prefix(own.size());
    refuse(message(where, ": ", key, ": ", why));
  }
}

inline void apply_file(CLI::App& app, std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in.is_open() || std::filesystem::is_directory(path)) refuse(path + ": the file of --config cannot be read");
  std::string const text{std::istreambuf_iterator<char>(in), {}};
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (toml::parse_error const& error) {
    refuse(message(path, ":", error.source().begin.line, ": no TOML: ", error.description()));
  }
  auto const known = options_by_key(app);
  std::vector<std::string> keys;
  for (auto const& [key, option] : known) keys.push_back(key);
  // In the order of the file, so that the first mistake is the one that is named.
  std::vector<std::pair<toml::key const*, toml::node const*>> entries;
  for (auto&& [key, node] : table) entries.emplace_back(&key, &node);
  std::ranges::sort(entries, {}, [](auto const& entry) { return entry.first->source().begin.line; });
  for (auto const& [key, node] : entries) {
    std::string const name(key->str());
    auto const where = message(path, ":", key->source().begin.line);
    auto const found = std::ranges::find(known, name, &std::pair<std::string, CLI::Option*>::first);
    if (found == known.end()) refuse(message("unknown key '", name, "' in ", where, did_you_mean(name, keys)));
    apply_entry(*found->second, name, *node, where);
  }
}

// CLI11 says of an unknown option only that it was not expected.
inline void refuse_unknown_options(CLI::App& app) {
  if (app.get_allow_extras()) return;
  std::vector<std::string> known;
  for (auto const* option : app.get_options({})) {
    for (auto const& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (auto const& given : app.remaining()) {
    if (!given.starts_with("--")) continue;
    auto const name = given.substr(0, given.find('='));
    throw CLI::ParseError(message("unknown option '", name, "'", did_you_mean(name, known)), CLI::ExitCodes::ExtrasError);
  }
}

}  // namespace detail

LIERNE_INLINE void add_options_file(CLI::App& app) {
  // The callback runs whether the option is given or not, after all arguments were seen and before the options that are
  // added later take theirs.
  app.add_option_function<std::string>(
         "--config",
         [&app](std::string const& path) {
           if (app.get_help_ptr() != nullptr && app.get_help_ptr()->count() > 0) return;
           detail::refuse_unknown_options(app);
           if (!path.empty()) detail::apply_file(app, path);
         },
         "TOML file of options, under their names with underscores; the command line goes before it")
      ->type_name("FILE")
      ->force_callback();
}
#endif

}  // namespace lierne
