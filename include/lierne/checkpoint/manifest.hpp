// SPDX-License-Identifier: Apache-2.0
// The manifest of a checkpoint: what it is of, which files it consists of, and their checksums. Sees no LibTorch header.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lierne/checkpoint/facts.hpp"
#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "lierne/checkpoint/checksum.hpp"
#endif

namespace lierne {

/// A file of a checkpoint.
struct ManifestFile {
  std::string name{};      ///< in the checkpoint's directory
  std::string holds{};     ///< `model`, `optimizer` or `run`
  std::int64_t rank = 0;   ///< whose tensors they are
  std::int64_t part = 0;   ///< of that rank's tensors of this sort
  std::uint64_t bytes = 0;
  std::string xxh128{};    ///< digits of `Checksum`
  bool operator==(ManifestFile const&) const = default;
};

/// What `manifest.json` says.
struct Manifest {
  static constexpr std::int64_t format_version = 1;

  std::string lierne{};              ///< version of the library that wrote it
  std::int64_t step = 0;             ///< finished optimizer steps
  std::int64_t sequence = 0;         ///< grows with every save into one directory: which of two is newer
  std::int64_t ranks = 1;            ///< processes that wrote it
  std::string weights_dtype{};       ///< what floating weights were cast to; empty: they are the run's own, bit for bit
  std::vector<std::string> excluded{};  ///< patterns of names that were left out
  Facts facts{};
  std::vector<ManifestFile> files{};
  bool operator==(Manifest const&) const = default;
};

/// The text of `manifest.json`. Its last member is the checksum of all bytes before it.
/// Errors: `ArgumentError` for a text that is not UTF-8.
std::string to_json(Manifest const& manifest);

/// Reads the text of `file`.
/// Errors: `FileError` naming `file`, what was expected and what was found: no JSON, another format or version of it, bytes
/// that are not those that were written, a member that is missing or of another kind, a file name that is a path.
Manifest manifest_from_json(std::string const& file, std::string_view text);

#if LIERNE_BODIES
namespace detail {

inline constexpr std::string_view manifest_format = "lierne checkpoint";
inline constexpr std::string_view manifest_checksum_key = "\n  \"xxh128\": \"";
inline constexpr std::string_view manifest_end = "\"\n}\n";

// JSON has no number that is not finite: these are texts under a mark that no name of a fact can be confused with.
inline nlohmann::ordered_json fact_to_json(Fact const& fact) {
  if (auto const* real = std::get_if<double>(&fact); real && !std::isfinite(*real)) {
    return {{"not_finite", std::isnan(*real) ? "nan" : *real > 0 ? "inf" : "-inf"}};
  }
  return std::visit([](auto const& value) { return nlohmann::ordered_json(value); }, fact);
}

inline Fact fact_from_json(std::string const& file, std::string const& name, nlohmann::json const& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  if (value == nlohmann::json{{"not_finite", "nan"}}) return std::numeric_limits<double>::quiet_NaN();
  if (value == nlohmann::json{{"not_finite", "inf"}}) return infinity;
  if (value == nlohmann::json{{"not_finite", "-inf"}}) return -infinity;
  throw FileError(message(file, ": fact '", name, "': expected a number, a truth or a text, found ", value.dump().substr(0, 80)));
}

/// The member `key`, of the type that `T` stands for.
template <class T>
T manifest_member(std::string const& file, nlohmann::json const& object, char const* key) {
  auto const found = object.find(key);
  check<FileError>(found != object.end(), file, ": expected a member '", key, "', found none");
  bool right = false;
  if constexpr (std::same_as<T, std::string>) {
    right = found->is_string();
  } else {
    right = found->is_number_integer() && (found->is_number_unsigned() ? std::in_range<T>(found->get<std::uint64_t>())
                                                                        : std::in_range<T>(found->get<std::int64_t>())) &&
            std::cmp_greater_equal(found->get<T>(), 0);
  }
  check<FileError>(right, file, ": '", key, "': expected ", std::same_as<T, std::string> ? "a text" : "an integer from 0",
                   ", found ", found->dump().substr(0, 80));
  return found->get<T>();
}

inline nlohmann::json const& manifest_tree(std::string const& file, nlohmann::json const& object, char const* key, bool array) {
  auto const found = object.find(key);
  check<FileError>(found != object.end() && (array ? found->is_array() : found->is_object()), file, ": expected a member '", key,
                   array ? "', a list" : "', an object");
  return *found;
}

inline ManifestFile manifest_file(std::string const& file, nlohmann::json const& value) {
  check<FileError>(value.is_object(), file, ": 'files': expected objects, found ", value.dump().substr(0, 80));
  ManifestFile result{.name = manifest_member<std::string>(file, value, "name"),
                      .holds = manifest_member<std::string>(file, value, "holds"),
                      .rank = manifest_member<std::int64_t>(file, value, "rank"),
                      .part = manifest_member<std::int64_t>(file, value, "part"),
                      .bytes = manifest_member<std::uint64_t>(file, value, "bytes"),
                      .xxh128 = manifest_member<std::string>(file, value, "xxh128")};
  check<FileError>(!result.name.empty() && result.name[0] != '.' && result.name.find('/') == std::string::npos &&
                       result.name.find('\0') == std::string::npos,
                   file, ": expected the name of a file in this directory, found '", result.name, "'");
  return result;
}

}  // namespace detail

LIERNE_INLINE std::string to_json(Manifest const& manifest) {
  auto facts = nlohmann::ordered_json::object(), files = nlohmann::ordered_json::array();
  for (auto const& [name, fact] : manifest.facts.values()) facts[name] = detail::fact_to_json(fact);
  for (auto const& f : manifest.files) {
    files.push_back({{"name", f.name}, {"holds", f.holds}, {"rank", f.rank}, {"part", f.part}, {"bytes", f.bytes}, {"xxh128", f.xxh128}});
  }
  nlohmann::ordered_json const tree{
      {"format", detail::manifest_format}, {"format_version", Manifest::format_version}, {"lierne", manifest.lierne},
      {"step", manifest.step}, {"sequence", manifest.sequence}, {"ranks", manifest.ranks},
      {"weights_dtype", manifest.weights_dtype}, {"excluded", manifest.excluded}, {"facts", facts}, {"files", files}};
  std::string text;
  try {
    text = tree.dump(2);
  } catch (nlohmann::json::exception const& error) {
    throw ArgumentError(message("manifest: expected names and texts in UTF-8: ", error.what()));
  }
  text.resize(text.size() - 2);  // "\n}"
  text += ',';
  text += detail::manifest_checksum_key;
  return text + Checksum::of(text) + std::string(detail::manifest_end);
}

LIERNE_INLINE Manifest manifest_from_json(std::string const& file, std::string_view text) {
  nlohmann::json tree;
  try {
    tree = nlohmann::json::parse(text);
  } catch (nlohmann::json::exception const& error) {
    throw FileError(message(file, ": expected JSON, found: ", error.what()));
  }
  check<FileError>(tree.is_object() && tree.contains("format") && tree["format"] == detail::manifest_format, file,
                   ": expected a manifest of the format '", detail::manifest_format, "', found another file or format");
  auto const version = detail::manifest_member<std::int64_t>(file, tree, "format_version");
  check<FileError>(version == Manifest::format_version, file, ": expected format version ", Manifest::format_version, ", found ",
                   version, " (written by another version of lierne, or damaged)");
  auto const key = text.rfind(detail::manifest_checksum_key);
  check<FileError>(key != std::string_view::npos, file, ": expected the checksum as its last member, found none");
  auto const covered = text.substr(0, key + detail::manifest_checksum_key.size());
  auto const expected = Checksum::of(covered) + std::string(detail::manifest_end);
  auto const found = text.substr(covered.size());
  check<FileError>(found == expected, file, ": expected the checksum ", expected.substr(0, 32), " of its ", covered.size(),
                   " bytes, found ", found.substr(0, 32), " (changed since it was written)");

  Manifest manifest{.lierne = detail::manifest_member<std::string>(file, tree, "lierne"),
                    .step = detail::manifest_member<std::int64_t>(file, tree, "step"),
                    .sequence = detail::manifest_member<std::int64_t>(file, tree, "sequence"),
                    .ranks = detail::manifest_member<std::int64_t>(file, tree, "ranks"),
                    .weights_dtype = detail::manifest_member<std::string>(file, tree, "weights_dtype")};
  for (auto const& pattern : detail::manifest_tree(file, tree, "excluded", true)) {
    check<FileError>(pattern.is_string(), file, ": 'excluded': expected texts, found ", pattern.dump().substr(0, 80));
    manifest.excluded.push_back(pattern.get<std::string>());
  }
  for (auto const& [name, value] : detail::manifest_tree(file, tree, "facts", false).items()) {
    std::visit([&, &n = name](auto const& fact) { manifest.facts.set(n, fact); }, detail::fact_from_json(file, name, value));
  }
  manifest.facts.set_source(file);
  std::set<std::string> names;
  for (auto const& value : detail::manifest_tree(file, tree, "files", true)) {
    manifest.files.push_back(detail::manifest_file(file, value));
    check<FileError>(names.insert(manifest.files.back().name).second, file, ": the file '", manifest.files.back().name, "' is listed twice");
  }
  return manifest;
}
#endif

}  // namespace lierne
