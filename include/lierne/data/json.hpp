// SPDX-License-Identifier: Apache-2.0
// A small JSON reader for the files of tokenizers and data sets: strict, bounded, and quick to compile.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/data/utf8.hpp"

namespace lierne {

/// A JSON value. Members of an object keep the order of the file. Numbers are doubles: integers are exact to 2^53.
struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;
  std::variant<std::nullptr_t, bool, double, std::string, Array, Object> value = nullptr;

  /// Reads a whole text (RFC 8259): valid UTF-8, at most 200 values deep, no second value.
  /// Errors: FileError naming `file`, the byte, what was expected there and what was found.
  static Json parse(std::string_view text, std::string const& file);
};

/// A place in a JSON file, with the words for an error message: every access says what it expects.
/// Errors: FileError "<file>: <key>: expected <what>, found <value>" from every member function that reads.
/// Example: `JsonAt{file, json}.at("model").at("type").text()`.
class JsonAt {
 public:
  JsonAt(std::string const& file, Json const& json, std::string key = "")
      : file_{file}, json_{json}, key_{std::move(key)} {}

  bool null() const { return get<std::nullptr_t>() != nullptr; }
  bool is_text() const { return get<std::string>() != nullptr; }
  bool is_array() const { return get<Json::Array>() != nullptr; }
  bool is_object() const { return get<Json::Object>() != nullptr; }
  std::string const& text() const { return *expect<std::string>("a string"); }
  bool flag() const { return *expect<bool>("true or false"); }
  /// An integer from 0 to `most`.
  std::int64_t integer(std::int64_t most) const {
    auto const number = *expect<double>("an integer");
    if (!(number >= 0 && number <= static_cast<double>(most) && number == std::floor(number)))
      fail(message("an integer from 0 to ", most));
    return static_cast<std::int64_t>(number);
  }
  Json::Array const& array() const { return *expect<Json::Array>("a list"); }
  Json::Object const& object() const { return *expect<Json::Object>("an object"); }

  /// The member of an object; where it is missing, `at` throws and `get` gives a place that is null.
  JsonAt at(std::string_view name) const {
    auto const* member = find(name);
    if (!member) JsonAt{file_, json_, path(name)}.fail("a value", "nothing");
    return {file_, *member, path(name)};
  }
  JsonAt get(std::string_view name) const {
    static Json const absent;
    auto const* member = find(name);
    return {file_, member ? *member : absent, path(name)};
  }
  JsonAt at(std::size_t index) const { return {file_, array().at(index), key_ + "[" + std::to_string(index) + "]"}; }

  /// Throws the error of this place.
  [[noreturn]] void fail(std::string const& expected, std::string const& found) const {
    throw FileError(message(file_, ": ", key_.empty() ? "the file" : key_, ": expected ", expected, ", found ", found));
  }
  [[noreturn]] void fail(std::string const& expected) const { fail(expected, shown()); }
  std::string const& file() const { return file_; }
  std::string const& key() const { return key_; }

 private:
  template <class T>
  T const* get() const {
    return std::get_if<T>(&json_.value);
  }
  template <class T>
  T const* expect(char const* what) const {
    auto const* value = get<T>();
    if (!value) fail(what);
    return value;
  }
  Json const* find(std::string_view name) const {
    // The last of equal keys counts, as in Python's json.
    auto const& members = object();
    for (auto member = members.rbegin(); member != members.rend(); ++member)
      if (member->first == name) return &member->second;
    return nullptr;
  }
  std::string path(std::string_view name) const {
    return key_.empty() ? std::string{name} : key_ + "." + std::string{name};
  }
  std::string shown() const {
    if (null()) return "null";
    if (auto const* b = get<bool>()) return *b ? "true" : "false";
    if (auto const* d = get<double>()) return message(*d);
    if (auto const* s = get<std::string>()) return "\"" + s->substr(0, 200) + "\"";
    return is_array() ? "a list" : "an object";
  }

  std::string const& file_;
  Json const& json_;
  std::string key_;
};

/// The bytes of a file.
/// Errors: FileError naming the file where it cannot be opened or read.
inline std::string read_bytes(std::string const& file) {
  std::error_code failed;
  auto const size = std::filesystem::file_size(file, failed);
  check<FileError>(!failed, file, ": expected a readable file, found: ", failed.message());
  std::ifstream in{file, std::ios::binary};
  check<FileError>(in.good(), file, ": expected a readable file, found one that cannot be opened");
  std::string bytes(size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(size));
  auto const count = static_cast<std::uintmax_t>(in.gcount());
  check<FileError>(count == size, file, ": expected ", size, " bytes, found ", count);
  return bytes;
}

namespace detail {

class JsonParser {
 public:
  JsonParser(std::string_view text, std::string const& file) : text_{text}, file_{file} {}

  Json whole() {
    auto const valid = valid_utf8(text_);
    at_ = valid;
    require(valid == text_.size(), "valid UTF-8");
    at_ = 0;
    Json result = value(0);
    skip();
    require(at_ == text_.size(), "the end of the file");
    return result;
  }

 private:
  void require(bool holds, char const* expected) const {
    if (holds) return;
    std::string const found = at_ < text_.size() ? message("'", text_[at_], "'") : "the end";
    throw FileError(message(file_, ": byte ", at_, ": expected ", expected, ", found ", found));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip() {
    auto const blank = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
    while (at_ < text_.size() && blank(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip();
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view name) {
    if (text_.substr(at_, name.size()) != name) return false;
    at_ += name.size();
    return true;
  }

  Json value(int depth) {
    skip();
    require(depth < 200, "at most 200 nested values");
    char const c = peek();
    if (c == '{') return object(depth);
    if (c == '[') return array(depth);
    if (c == '"') return {string()};
    if (c == '-' || (c >= '0' && c <= '9')) return {number()};
    if (word("true")) return {true};
    if (word("false")) return {false};
    require(word("null"), "a value");
    return {};
  }

  Json object(int depth) {
    Json::Object members;
    ++at_;
    if (take('}')) return {std::move(members)};
    do {
      skip();
      require(peek() == '"', "a quoted key");
      auto key = string();
      require(take(':'), "':'");
      members.emplace_back(std::move(key), value(depth + 1));
    } while (take(','));
    require(take('}'), "',' or '}'");
    return {std::move(members)};
  }

  Json array(int depth) {
    Json::Array items;
    ++at_;
    if (take(']')) return {std::move(items)};
    do items.push_back(value(depth + 1));
    while (take(','));
    require(take(']'), "',' or ']'");
    return {std::move(items)};
  }

  double number() {
    auto const digits = [&] {
      require(peek() >= '0' && peek() <= '9', "a digit");
      while (peek() >= '0' && peek() <= '9') ++at_;
    };
    auto const start = at_;
    if (peek() == '-') ++at_;
    if (peek() == '0') ++at_;
    else digits();
    if (peek() == '.') ++at_, digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    double result = 0;
    auto const done = std::from_chars(text_.data() + start, text_.data() + at_, result);
    require(done.ec == std::errc{}, "a number in the range of a double");
    return result;
  }

  char32_t four_digits() {
    unsigned code = 0;
    require(at_ + 4 <= text_.size(), "four hexadecimal digits");
    auto const* first = text_.data() + at_;
    auto const done = std::from_chars(first, first + 4, code, 16);
    require(done.ec == std::errc{} && done.ptr == first + 4, "four hexadecimal digits");
    at_ += 4;
    return code;
  }

  std::string string() {
    std::string out;
    for (++at_;; ++at_) {
      auto const plain = at_;
      auto const itself = [](char c) { return c != '"' && c != '\\' && static_cast<unsigned char>(c) >= 0x20; };
      while (at_ < text_.size() && itself(text_[at_])) ++at_;
      out.append(text_, plain, at_ - plain);
      if (peek() == '"' && at_ < text_.size()) break;
      require(peek() == '\\', "an escape or a character of a string");
      ++at_;
      static constexpr std::string_view names = "\"\\/bfnrt", values = "\"\\/\b\f\n\r\t";
      if (auto const which = names.find(peek()); at_ < text_.size() && which != names.npos) {
        out.push_back(values[which]);
        continue;
      }
      require(peek() == 'u', "a known escape");
      ++at_;
      auto code = four_digits();
      if (code >= 0xd800 && code < 0xdc00) {
        require(word("\\u"), "the second half of a surrogate pair");
        auto const low = four_digits();
        require(low >= 0xdc00 && low < 0xe000, "the second half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      }
      require(code < 0xd800 || code >= 0xe000, "the first half of a surrogate pair");
      append_code_point(out, code);
      --at_;
    }
    ++at_;
    return out;
  }

  std::string_view text_;
  std::string const& file_;
  std::size_t at_ = 0;
};

}  // namespace detail

inline Json Json::parse(std::string_view text, std::string const& file) {
  return detail::JsonParser{text, file}.whole();
}

}  // namespace lierne
