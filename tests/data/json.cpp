// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/json.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "sample.hpp"

using namespace lierne;

namespace {

/// Both readers say the same of a value.
bool same(Json const& ours, nlohmann::json const& theirs) {
  if (auto const* b = std::get_if<bool>(&ours.value)) return theirs.is_boolean() && *b == theirs.get<bool>();
  if (auto const* d = std::get_if<double>(&ours.value)) return theirs.is_number() && *d == theirs.get<double>();
  if (auto const* s = std::get_if<std::string>(&ours.value)) return theirs.is_string() && *s == theirs.get<std::string>();
  if (auto const* items = std::get_if<Json::Array>(&ours.value)) {
    bool equal = theirs.is_array() && items->size() == theirs.size();
    for (std::size_t i = 0; equal && i < items->size(); ++i) equal = same((*items)[i], theirs[i]);
    return equal;
  }
  if (auto const* members = std::get_if<Json::Object>(&ours.value)) {
    if (!theirs.is_object()) return false;
    for (auto const& [key, value] : *members)
      if (!theirs.contains(key)) return false;
    for (auto const& [key, value] : theirs.items()) {
      auto const last = std::find_if(members->rbegin(), members->rend(), [&, k = key](auto const& member) { return member.first == k; });
      if (last == members->rend() || !same(last->second, value)) return false;
    }
    return true;
  }
  return theirs.is_null();
}

}  // namespace

TEST_CASE("a tokenizer file reads as another library reads it") {
  std::string const file = std::string{LIERNE_GOLDEN} + "/tokenizer/tokenizer.json";
  auto const text = read_bytes(file);
  CHECK(same(Json::parse(text, file), nlohmann::json::parse(text)));
}

TEST_CASE("texts that are nearly JSON are taken and refused as another library does") {
  std::string const whole =
      R"({"a": [1, -2.5e3, 0, 1e-2, true, false, null], "b\u00e9\ud83d\ude42": {"x": "\"\\\/\b\f\n\r\t"}, "c": [], "d": {}, "a": "é"} )";
  CHECK(same(Json::parse(whole, "f"), nlohmann::json::parse(whole)));
  std::size_t taken = 0, refused = 0;
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    Random const random{seed, 2};
    auto text = whole;
    for (std::uint64_t i = 0; i < 1 + seed % 3; ++i) {
      auto const at = random.below(4 * i, text.size());
      switch (random.below(4 * i + 1, 3)) {
        case 0: text[at] = static_cast<char>(random.below(4 * i + 2, 256)); break;
        case 1: text.erase(at, 1 + random.below(4 * i + 2, 5)); break;
        default: text.insert(at, 1, "[]{},:\"\\0123eEu-+. tn"[random.below(4 * i + 2, 22)]);
      }
    }
    auto const theirs = nlohmann::json::parse(text, nullptr, false);
    CAPTURE(text);
    try {
      auto const ours = Json::parse(text, "f");
      REQUIRE(same(ours, theirs));
      REQUIRE_FALSE(theirs.is_discarded());
      ++taken;
    } catch (FileError const&) {
      REQUIRE(theirs.is_discarded());
      ++refused;
    }
  }
  CHECK(taken > 100);
  CHECK(refused > 10000);
}

TEST_CASE("what is wrong is said with file, byte, what was expected and what was found") {
  auto const error = [](std::string_view text) -> std::string {
    try {
      Json::parse(text, "f.json");
    } catch (FileError const& e) {
      return e.what();
    }
    return "none";
  };
  CHECK(error("") == "f.json: byte 0: expected a value, found the end");
  CHECK(error("{\"a\" 1}") == "f.json: byte 5: expected ':', found '1'");
  CHECK(error("[1 2]") == "f.json: byte 3: expected ',' or ']', found '2'");
  CHECK(error("[1,]") == "f.json: byte 3: expected a value, found ']'");
  CHECK(error("{1}") == "f.json: byte 1: expected a quoted key, found '1'");
  CHECK(error("\"a") == "f.json: byte 2: expected an escape or a character of a string, found the end");
  CHECK(error("\"\\ud800\"") == "f.json: byte 7: expected the second half of a surrogate pair, found '\"'");
  CHECK(error("1 2") == "f.json: byte 2: expected the end of the file, found '2'");
  CHECK(error("1e999") == "f.json: byte 5: expected a number in the range of a double, found the end");
  CHECK(error("\"\xff\"").starts_with("f.json: byte 1: expected valid UTF-8, found "));
  CHECK(error(std::string(100000, '[')) == "f.json: byte 200: expected at most 200 nested values, found '['");
}

TEST_CASE("a place in a file says its key, what it expects and what it holds") {
  std::string const file = "f.json";
  auto const json = Json::parse(R"({"model": {"type": "WordPiece", "ids": [0, 1.5, -1, 1e9]}, "on": 1})", file);
  JsonAt const root{file, json};
  CHECK(root.at("model").at("type").text() == "WordPiece");
  CHECK(root.at("model").at("ids").at(std::size_t{0}).integer(5) == 0);
  CHECK(root.get("none").null());
  CHECK_THROWS_WITH_AS(root.at("model").at("vocab"), "f.json: model.vocab: expected a value, found nothing", FileError);
  CHECK_THROWS_WITH_AS(root.at("on").flag(), "f.json: on: expected true or false, found 1", FileError);
  CHECK_THROWS_WITH_AS(root.at("model").text(), "f.json: model: expected a string, found an object", FileError);
  CHECK_THROWS_WITH_AS(root.text(), "f.json: the file: expected a string, found an object", FileError);
  for (std::size_t i : {1, 2, 3})
    CHECK_THROWS_AS(root.at("model").at("ids").at(i).integer(1000), FileError);
  CHECK_THROWS_WITH_AS(root.at("model").at("ids").at(std::size_t{1}).integer(9),
                       "f.json: model.ids[1]: expected an integer from 0 to 9, found 1.5", FileError);
}

TEST_CASE("a file that is not there, and a folder, are errors") {
  sample::Folder const folder{"json"};
  CHECK(read_bytes(folder.write("x", std::string("a\0b", 3)).string()) == std::string("a\0b", 3));
  CHECK(read_bytes(folder.write("y", "").string()).empty());
  CHECK_THROWS_AS(read_bytes((folder.path / "none").string()), FileError);
  CHECK_THROWS_AS(read_bytes(folder.path.string()), FileError);
}
