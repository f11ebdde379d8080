// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/tokenizer.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "lierne/core/random.hpp"
#include "lierne/data/json.hpp"
#include "sample.hpp"

using namespace lierne;

namespace {

std::filesystem::path const folder = std::filesystem::path{LIERNE_GOLDEN} / "tokenizer";

Tokenizer const& golden() {
  static Tokenizer const tokenizer = Tokenizer::load(folder / "tokenizer.json");
  return tokenizer;
}

std::string from_hex(std::string const& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::vector<TokenId> ids_at(JsonAt const& list) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < list.array().size(); ++i) ids.push_back(static_cast<TokenId>(list.at(i).integer(1 << 24)));
  return ids;
}

struct Expected {
  std::string file = (folder / "expected.json").string();
  Json json = Json::parse(read_bytes(file), file);
  JsonAt root{file, json};
};

}  // namespace

TEST_CASE("every encoding, decoding and slice is that of Hugging Face's tokenizers") {
  Expected const expected;
  auto const& tokenizer = golden();
  auto const encode = expected.root.at("encode");
  REQUIRE(encode.array().size() == 351);
  for (std::size_t i = 0; i < 351; ++i) {
    CAPTURE(i);
    auto const at = encode.at(i);
    auto const text = from_hex(at.at("utf8_hex").text());
    CHECK(tokenizer.encode(text) == ids_at(at.at("ids")));
    auto const special = ids_at(at.at("ids_with_special"));
    CHECK(tokenizer.encode(text, true) == special);
    CHECK(tokenizer.decode(ids_at(at.at("ids"))) == from_hex(at.at("decoded_hex").text()));
    auto const skipped = at.get("decoded_skip_special_hex");
    CHECK(tokenizer.decode(special, true) == from_hex((skipped.null() ? at.at("decoded_hex") : skipped).text()));
  }
  auto const invalid = expected.root.at("invalid_utf8");
  REQUIRE(invalid.array().size() == 12);
  for (std::size_t i = 0; i < 12; ++i) {
    CAPTURE(i);
    auto const bytes = from_hex(invalid.at(i).at("bytes_hex").text());
    CHECK(replace_invalid(bytes) == from_hex(invalid.at(i).at("replaced_utf8_hex").text()));
    CHECK(tokenizer.encode(bytes) == ids_at(invalid.at(i).at("ids")));
  }
  auto const slices = expected.root.at("decode_slices");
  REQUIRE(slices.array().size() == 58);
  for (std::size_t i = 0; i < 58; ++i) {
    CAPTURE(i);
    auto const ids = ids_at(slices.at(i).at("ids"));
    auto const text = from_hex(slices.at(i).at("decoded_hex").text());
    CHECK(tokenizer.decode(ids) == text);
    StreamDecoder stream{tokenizer};
    std::string streamed;
    for (auto id : ids) streamed += stream.push(id);
    CHECK(streamed + stream.finish() == text);
  }
}

TEST_CASE("other settings give what they give there") {
  auto const file = (folder / "variants.json").string();
  auto const json = Json::parse(read_bytes(file), file);
  auto const original = read_bytes((folder / "tokenizer.json").string());
  sample::Folder const scratch{"tokenizer"};
  std::size_t cases = 0;
  for (auto const& [name, value] : JsonAt{file, json}.object()) {
    JsonAt const variant{file, value, name};
    auto text = original;
    auto const edits = variant.at("edits");
    for (std::size_t i = 0; i < edits.array().size(); ++i) {
      auto const& found = edits.at(i).at(std::size_t{0}).text();
      text.replace(text.find(found), found.size(), edits.at(i).at(std::size_t{1}).text());
    }
    auto const tokenizer = Tokenizer::load(scratch.write(name + ".json", text));
    auto const list = variant.at("cases");
    for (std::size_t i = 0; i < list.array().size(); ++i, ++cases) {
      CAPTURE(name);
      CAPTURE(list.at(i).at("text").text());
      CHECK(tokenizer.encode(list.at(i).at("text").text()) == ids_at(list.at(i).at("ids")));
    }
  }
  CHECK(cases == 917);
}

TEST_CASE("begin, end and size come from the files") {
  CHECK(golden().bos() == 4084);
  CHECK(golden().eos() == 4085);
  CHECK(golden().size() == 4096);
  CHECK(golden().is_special(4084));
  CHECK_FALSE(golden().is_special(0));
  CHECK(golden().text_bytes(4084) == 0);
  check_vocabulary(golden(), 4096);
  check_vocabulary(golden(), 5000);
  CHECK_THROWS_WITH_AS(check_vocabulary(golden(), 4095),
                       "tokenizer: expected ids below 4095, the model's .vocab; found ids up to 4095 (set .vocab to at least 4096)",
                       ArgumentError);
}

TEST_CASE("decoding is the inverse of encoding, and bytes add up") {
  auto const& tokenizer = golden();
  PieceCache cache;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    auto const bytes = sample::heap(seed, seed);
    auto const text = replace_invalid(bytes);
    auto const ids = tokenizer.encode(bytes);
    CAPTURE(seed);
    REQUIRE(tokenizer.decode(ids) == text);
    std::vector<TokenId> again{7};
    tokenizer.encode(bytes, again, cache);  // a cache kept between texts changes nothing, and ids are appended
    REQUIRE(again.front() == 7);
    REQUIRE(std::vector<TokenId>(again.begin() + 1, again.end()) == ids);
    std::size_t size = 0;
    for (auto id : ids) size += tokenizer.is_special(id) ? tokenizer.token_bytes(id).size() : tokenizer.text_bytes(id);
    REQUIRE(size == text.size());
  }
}

TEST_CASE("any ids decode to UTF-8, and a stream of them to the same text") {
  auto const& tokenizer = golden();
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<TokenId> ids;
    for (std::uint64_t i = 0; i < 30; ++i) ids.push_back(static_cast<TokenId>(Random{seed, 2}.below(i, i % 3 ? 4096 : 400)));
    for (bool skip : {false, true}) {
      auto const text = tokenizer.decode(ids, skip);
      REQUIRE(valid_utf8(text) == text.size());
      StreamDecoder stream{tokenizer, skip};
      std::string streamed;
      for (auto id : ids) streamed += stream.push(id);
      REQUIRE(streamed + stream.finish() == text);
    }
  }
}

TEST_CASE("ids that no token has are errors") {
  CHECK_THROWS_WITH_AS(golden().decode(std::vector<TokenId>{4096}), "token id: expected one of the 4096 ids of the tokenizer, found 4096",
                       ArgumentError);
  CHECK_THROWS_AS(golden().token_bytes(-1), ArgumentError);
  CHECK(golden().text_bytes(-1) == 0);
  CHECK(golden().text_bytes(5000) == 0);
  CHECK_THROWS_AS(Tokenizer::load(folder / "none.json"), FileError);
}
