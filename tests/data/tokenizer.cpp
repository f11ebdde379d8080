// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/tokenizer.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "lierne/core/random.hpp"
#include "lierne/data/json.hpp"

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
