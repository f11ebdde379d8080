// SPDX-License-Identifier: Apache-2.0
// Reads and checks the header of a safetensors file; sees no LibTorch header, so that it can be fuzzed alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#endif

namespace lierne {

/// Where one tensor lies in a safetensors file. `begin` and `end` are bytes from the end of the header.
struct SafeTensorsEntry {
  std::string name;
  std::string dtype;  ///< as the format spells it: F32, BF16, I64 ...
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The header of a safetensors file: entries in the order of their data, and the free-form metadata.
struct SafeTensorsHeader {
  std::vector<SafeTensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Bytes of one element of a safetensors dtype; 0 for a name that the format does not know.
constexpr std::uint64_t safetensors_dtype_bytes(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
  return 0;
}

/// Parses the JSON text of a header and checks it against the number of data bytes that follow it.
/// Errors: `FileError` naming `file`, the tensor, what was expected and what was found: malformed JSON, a repeated
/// key, an unknown dtype, a size that disagrees with the shape, offsets outside the data, holes or overlaps.
/// Source: the safetensors format, huggingface/safetensors.
SafeTensorsHeader parse_safetensors_header(std::string const& file, std::string_view json, std::uint64_t data_bytes);

#if LIERNE_BODIES
namespace detail {

/// Refuses a repeated key, which JSON parsers otherwise resolve in silence, and nesting deeper than the format's own.
class SafeTensorsKeys {
 public:
  explicit SafeTensorsKeys(std::string const& file) : file_(file) {}
  bool operator()(int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    check<FileError>(depth <= 4, file_, ": safetensors header: expected at most 4 levels of nesting, found more");
    if (event == Event::object_start) {
      if (keys_.size() <= static_cast<std::size_t>(depth)) keys_.resize(static_cast<std::size_t>(depth) + 1);
      keys_[static_cast<std::size_t>(depth)].clear();
    } else if (event == Event::key) {
      auto const name = value.get<std::string>();
      check<FileError>(keys_[static_cast<std::size_t>(depth) - 1].insert(name).second, file_,
                       ": safetensors header: key '", name, "' appears twice");
    }
    return true;
  }

 private:
  std::string const& file_;
  std::vector<std::set<std::string>> keys_;
};

inline std::uint64_t safetensors_size(std::string const& file, std::string const& name, nlohmann::json const& value,
                                      char const* what) {
  check<FileError>(value.is_number_unsigned(), file, ": tensor '", name, "': ", what,
                   ": expected a non-negative integer, found ", value.dump());
  return value.get<std::uint64_t>();
}

inline SafeTensorsEntry safetensors_entry(std::string const& file, std::string const& name,
                                          nlohmann::json const& value, std::uint64_t data_bytes) {
  check<FileError>(value.is_object() && value.contains("dtype") && value["dtype"].is_string() &&
                       value.contains("shape") && value["shape"].is_array() && value.contains("data_offsets") &&
                       value["data_offsets"].is_array() && value["data_offsets"].size() == 2,
                   file, ": tensor '", name, "': expected an object with dtype, shape and two data_offsets, found ",
                   value.dump().substr(0, 200));
  SafeTensorsEntry entry{.name = name, .dtype = value["dtype"].get<std::string>(), .shape = {}, .begin = 0, .end = 0};
  auto const width = safetensors_dtype_bytes(entry.dtype);
  check<FileError>(width != 0, file, ": tensor '", name, "': unknown dtype '", entry.dtype, "'");
  std::uint64_t bytes = width;
  for (auto const& extent : value["shape"]) {
    auto const n = safetensors_size(file, name, extent, "shape");
    check<FileError>(n == 0 || bytes <= std::numeric_limits<std::int64_t>::max() / n, file, ": tensor '", name,
                     "': shape ", value["shape"].dump(), " has more elements than 64 bits can count");
    bytes *= n;
    entry.shape.push_back(static_cast<std::int64_t>(n));
  }
  entry.begin = safetensors_size(file, name, value["data_offsets"][0], "data_offsets");
  entry.end = safetensors_size(file, name, value["data_offsets"][1], "data_offsets");
  check<FileError>(entry.begin <= entry.end && entry.end <= data_bytes, file, ": tensor '", name,
                   "': data_offsets [", entry.begin, ", ", entry.end, "] leave the file's ", data_bytes,
                   " bytes of data (a truncated file?)");
  check<FileError>(entry.end - entry.begin == bytes, file, ": tensor '", name, "': ", entry.dtype, " of shape ",
                   value["shape"].dump(), " takes ", bytes, " bytes, its data_offsets hold ", entry.end - entry.begin);
  return entry;
}

}  // namespace detail

LIERNE_INLINE SafeTensorsHeader parse_safetensors_header(std::string const& file, std::string_view json,
                                                         std::uint64_t data_bytes) {
  nlohmann::json tree;
  try {
    tree = nlohmann::json::parse(json, detail::SafeTensorsKeys(file));
  } catch (nlohmann::json::exception const& error) {
    throw FileError(message(file, ": safetensors header: expected JSON, found: ", error.what()));
  }
  check<FileError>(tree.is_object(), file, ": safetensors header: expected a JSON object");
  SafeTensorsHeader header;
  for (auto const& [name, value] : tree.items()) {
    if (name == "__metadata__") {
      check<FileError>(value.is_object(), file, ": __metadata__: expected an object of strings");
      for (auto const& [key, text] : value.items()) {
        check<FileError>(text.is_string(), file, ": __metadata__ '", key, "': expected a string, found ", text.dump());
        header.metadata[key] = text.get<std::string>();
      }
    } else {
      header.entries.push_back(detail::safetensors_entry(file, name, value, data_bytes));
    }
  }
  std::sort(header.entries.begin(), header.entries.end(), [](auto const& a, auto const& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t at = 0;
  for (auto const& entry : header.entries) {
    check<FileError>(entry.begin == at, file, ": tensor '", entry.name, "': expected its data at byte ", at,
                     ", found it at ", entry.begin, " (data must lie without holes or overlaps)");
    at = entry.end;
  }
  check<FileError>(at == data_bytes, file, ": expected ", at, " bytes of data, found ", data_bytes);
  return header;
}
#endif

}  // namespace lierne
