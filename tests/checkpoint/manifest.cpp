// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/manifest.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "lierne/checkpoint/checksum.hpp"

using namespace lierne;

namespace {

Manifest example() {
  Manifest m{.lierne = "0.1.0", .step = 120, .sequence = 7, .weights_dtype = "bfloat16", .excluded = {"*.w2.weight"}};
  m.facts.set("seed", std::numeric_limits<std::uint64_t>::max()).set("epoch", std::numeric_limits<std::int64_t>::min());
  m.facts.set("rate", 0.1).set("tiny", 5e-324).set("zero", -0.0).set("whole", 3.0).set("best", HUGE_VAL).set("worst", -HUGE_VAL);
  m.facts.set("rule", "clip | \"adamw\"\n  \"xxh128\": \"").set("noisy", true).set("not_finite", "nan");
  m.files = {{.name = "model.safetensors", .holds = "model", .bytes = 1U << 31, .xxh128 = Checksum::of("m")},
             {.name = "optimizer-3.safetensors", .holds = "optimizer", .rank = 3, .part = 1, .bytes = 0, .xxh128 = Checksum::of("")}};
  return m;
}

/// The text with one thing changed and a checksum that fits again.
std::string forged(std::string text, std::string const& from, std::string const& to) {
  auto const at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  auto const end = text.rfind("\n  \"xxh128\": \"") + 14;
  return text.substr(0, end) + Checksum::of(text.substr(0, end)) + "\"\n}\n";
}

void fails(std::string const& text, char const* words) {
  try {
    manifest_from_json("run/manifest.json", text);
    FAIL("accepted, where it should say: ", words);
  } catch (FileError const& error) {
    CAPTURE(error.what());
    CHECK(std::string(error.what()).find(words) != std::string::npos);
    CHECK(std::string(error.what()).starts_with("run/manifest.json: "));
  }
}

}  // namespace

TEST_CASE("the text is JSON that another program reads") {
  auto const tree = nlohmann::json::parse(to_json(example()));
  CHECK(tree["format"] == "lierne checkpoint");
  CHECK(tree["format_version"] == 1);
  CHECK(tree["step"] == 120);
  CHECK(tree["facts"]["seed"] == std::numeric_limits<std::uint64_t>::max());
  CHECK(tree["files"][1]["rank"] == 3);
  CHECK(tree["files"][0]["bytes"] == 1U << 31);
}

TEST_CASE("writing, then reading, is the identity") {
  auto const written = example();
  auto const read = manifest_from_json("f", to_json(written));
  CHECK(read == written);
  CHECK(std::signbit(read.facts.get<double>("zero")));
  CHECK(manifest_from_json("f", to_json(Manifest{})) == Manifest{});
  auto undefined = example();
  undefined.facts.set("loss", std::nan(""));
  CHECK(std::isnan(manifest_from_json("f", to_json(undefined)).facts.get<double>("loss")));
}

TEST_CASE("no flipped bit and no cut is accepted") {
  auto const text = to_json(example());
  for (std::size_t i = 0; i < 8 * text.size(); ++i) {
    auto changed = text;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ 1 << i % 8);
    CHECK_THROWS_AS(manifest_from_json("f", changed), FileError);
  }
  for (std::size_t i = 0; i < text.size(); ++i) CHECK_THROWS_AS(manifest_from_json("f", text.substr(0, i)), FileError);
  CHECK_THROWS_AS(manifest_from_json("f", text + "\n"), FileError);
}

TEST_CASE("what is wrong with a manifest is said") {
  auto const text = to_json(example());
  fails("{", "expected JSON");
  fails("[]", "expected a manifest of the format 'lierne checkpoint'");
  fails(R"({"format": "other"})", "found another file or format");
  fails(R"({"format": "lierne checkpoint", "format_version": 1})", "expected the checksum as its last member");
  fails(forged(text, "\"format_version\": 1", "\"format_version\": 2"), "expected format version 1, found 2");
  fails(forged(text, "\"step\": 120", "\"step\": -1"), "'step': expected an integer from 0, found -1");
  fails(forged(text, "\"step\": 120", "\"step\": 18446744073709551615"), "'step': expected an integer");
  fails(forged(text, "\"step\": 120", "\"steps\": 120"), "expected a member 'step', found none");
  fails(forged(text, "\"lierne\": \"0.1.0\"", "\"lierne\": 1"), "'lierne': expected a text, found 1");
  fails(forged(text, "model.safetensors", "../model"), "expected the name of a file in this directory, found '../model'");
  fails(forged(text, "model.safetensors", ".."), "found '..'");
  fails(forged(text, "model.safetensors", ""), "found ''");
  fails(forged(text, "optimizer-3.safetensors", "model.safetensors"), "'model.safetensors' is listed twice");
  fails(forged(text, "\"rate\": 0.1", "\"rate\": [0.1]"), "fact 'rate': expected a number, a truth or a text, found [0.1]");
  fails(forged(text, "\"*.w2.weight\"", "2"), "'excluded': expected texts, found 2");
  auto changed = text;
  changed[text.size() - 10] = text[text.size() - 10] == '0' ? '1' : '0';
  fails(changed, "changed since it was written");
  Manifest latin;
  latin.facts.set("name", "\xff");
  CHECK_THROWS_WITH_AS(to_json(latin), doctest::Contains("UTF-8"), ArgumentError);
}
