// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/tokenizer_file.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "lierne/data/tokenizer.hpp"
#include "sample.hpp"

using namespace lierne;

namespace {

/// The character that byte-level BPE writes for a byte, counted out as GPT-2's encoder.py does.
std::string character(int wanted) {
  int moved = 0;
  for (int byte = 0;; ++byte) {
    bool const itself = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    if (byte == wanted) {
      std::string text;
      append_code_point(text, static_cast<char32_t>(itself ? byte : 256 + moved));
      return text;
    }
    moved += !itself;
  }
}

std::string quoted(std::string const& text) {
  return text == "\"" ? R"("\"")" : text == "\\" ? R"("\\")" : "\"" + text + "\"";
}

/// A small tokenizer.json, written in parts that a test changes.
struct File {
  std::string head, added = "[]", merges = R"(["a b", ["ab", "c"]])", extra = R"("ab": 256, "abc": 257)";
  std::string pre = R"({"type": "ByteLevel", "add_prefix_space": false})", post = "null", decoder = R"({"type": "ByteLevel"})";
  std::string normalizer = "null", model = R"("type": "BPE")";

  std::string text() const {
    std::string vocab;
    for (int byte = 0; byte < 256; ++byte) vocab += quoted(character(byte)) + ": " + std::to_string(byte) + ", ";
    return "{" + head + "\"normalizer\": " + normalizer + ", \"added_tokens\": " + added + ", \"pre_tokenizer\": " + pre +
           ", \"post_processor\": " + post + ", \"decoder\": " + decoder + ", \"model\": {" + model + ", \"vocab\": {" + vocab +
           extra + "}, \"merges\": " + merges + "}}";
  }
};

/// The error of a file without its path.
std::string error(File const& file) {
  sample::Folder const folder{"tokenizer_file"};
  auto const path = folder.write("t.json", file.text());
  try {
    read_tokenizer(path);
  } catch (FileError const& e) {
    std::string const what = e.what();
    REQUIRE(what.starts_with(path.string() + ": "));
    return what.substr(path.string().size() + 2);
  }
  return "none";
}

Tokenizer load(File const& file, std::string const& config = "") {
  sample::Folder const folder{"tokenizer_file"};
  if (!config.empty()) folder.write("tokenizer_config.json", config);
  return Tokenizer::load(folder.write("tokenizer.json", file.text()));
}

using Ids = std::vector<TokenId>;

}  // namespace

TEST_CASE("every byte has its printable character") {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) {
    REQUIRE(lierne::detail::from_byte_level(character(byte)) == std::string(1, static_cast<char>(byte)));
    text.push_back(static_cast<char>(byte));
  }
  CHECK(lierne::detail::from_byte_level("\u0120the\u010a") == " the\n");
  CHECK(lierne::detail::from_byte_level(" ") == std::nullopt);
  CHECK(lierne::detail::from_byte_level("\u0144") == std::nullopt);
  CHECK(lierne::detail::from_byte_level("") == "");
}

TEST_CASE("merges are read as pairs and as text") {
  CHECK(error({}) == "none");
  CHECK(load({}).encode("abcab") == Ids{257, 256});
}

TEST_CASE("a prefix space goes before every part of a text that has none") {
  File file;
  file.pre = R"({"type": "ByteLevel"})";  // add_prefix_space is true where it is not given
  file.added = R"([{"id": 258, "content": "<x>"}])";
  auto const tokenizer = load(file);
  CHECK(tokenizer.encode("c<x>d<x> e") == Ids{' ', 'c', 258, ' ', 'd', 258, ' ', 'e'});
  CHECK(tokenizer.encode("\nc") == Ids{' ', '\n', 'c'});
  CHECK(tokenizer.encode("").empty());
}

TEST_CASE("the template's tokens go around a text when they are asked for") {
  File file;
  file.added = R"([{"id": 300, "content": "<s>", "special": true}, {"id": 258, "content": "</s>", "special": true}])";
  file.post = R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "E"}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [300]}, "E": {"ids": [258, 258]}}}]})";
  auto const tokenizer = load(file);
  CHECK(tokenizer.encode("c", true) == Ids{300, 'c', 258, 258});
  CHECK(tokenizer.encode("c") == Ids{'c'});
  CHECK(tokenizer.size() == 301);
  CHECK(tokenizer.bos() == 300);
  CHECK(tokenizer.eos() == 258);
}

TEST_CASE("begin and end of text come from the config beside the file, or else from usual names") {
  File file;
  file.added = R"([{"id": 258, "content": "<|endoftext|>"}, {"id": 259, "content": "[B]"}])";
  CHECK(load(file).bos() == 258);
  CHECK(load(file).eos() == 258);
  auto const configured = load(file, R"({"bos_token": {"content": "[B]"}, "eos_token": null})");
  CHECK(configured.bos() == 259);
  CHECK(configured.eos() == std::nullopt);
  CHECK_THROWS_WITH_AS(load(file, R"({"bos_token": "[C]"})"),
                       doctest::Contains("tokenizer_config.json: bos_token: expected the content of one of added_tokens, found \"[C]\""),
                       FileError);
}

TEST_CASE("what would change ids and is not supported is refused by name") {
  File file;
  file.model = R"("type": "WordPiece")";
  CHECK(error(file) == "model.type: expected \"BPE\", found \"WordPiece\"");
  file.model = R"("type": "BPE", "dropout": 0.1)";
  CHECK(error(file) == "model.dropout: expected null (this setting is not supported), found 0.1");
  file.model = R"("type": "BPE", "end_of_word_suffix": "</w>")";
  CHECK(error(file) == "model.end_of_word_suffix: expected null (this setting is not supported), found \"</w>\"");
  file.model = R"("type": "BPE", "byte_fallback": true)";
  CHECK(error(file) == "model.byte_fallback: expected false (this setting is not supported), found true");
  file = {};
  file.normalizer = R"({"type": "Lowercase"})";
  CHECK(error(file) == "normalizer.type: expected \"NFC\", found \"Lowercase\"");
  file = {};
  file.head = R"("truncation": {"max_length": 5}, )";
  CHECK(error(file) == "truncation: expected null (this setting is not supported), found an object");
  file = {};
  file.decoder = R"({"type": "Metaspace"})";
  CHECK(error(file) == "decoder.type: expected \"ByteLevel\", found \"Metaspace\"");
  file = {};
  file.pre = R"({"type": "Whitespace"})";
  CHECK(error(file) == "pre_tokenizer.type: expected \"Sequence\", found \"Whitespace\"");
  file.pre = R"({"type": "ByteLevel", "use_regex": false})";
  CHECK(error(file) == "pre_tokenizer.use_regex: expected true, found false");
  auto const split = [](std::string const& fields) {
    return R"({"type": "Sequence", "pretokenizers": [{"type": "Split", )" + fields +
           R"(}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})";
  };
  file.pre = split(R"("pattern": {"Regex": "x"}, "behavior": "Removed", "invert": false)");
  CHECK(error(file) == "pre_tokenizer.pretokenizers[0].behavior: expected \"Isolated\", found \"Removed\"");
  file.pre = split(R"("pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": true)");
  CHECK(error(file) == "pre_tokenizer.pretokenizers[0].invert: expected false, found true");
  file.pre = split(R"("pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": false)");
  CHECK(error(file).starts_with("pre_tokenizer.pattern: expected the pattern of Llama 3, "));
  file = {};
  file.post = R"({"type": "BertProcessing"})";
  CHECK(error(file) == "post_processor.type: expected \"TemplateProcessing\", found \"BertProcessing\"");
}

TEST_CASE("a vocabulary or merge that is wrong is refused by place") {
  File file;
  file.extra = R"("ab": 256)";
  CHECK(error(file) == "model: merges: 1: expected the two sides joined in the vocabulary, found no id for abc");
  file.extra = R"("ab": 256, "abc": 256)";
  CHECK(error(file) == "model.vocab[\"abc\"]: expected an id for each token, found 256 a second time");
  file.extra = R"("ab": 256, "abc": 1e9)";
  CHECK(error(file) == "model.vocab[\"abc\"]: expected an integer from 0 to 2097151, found 1e+09");
  file.extra = R"("ab": 256, "abc": "x")";
  CHECK(error(file) == "model.vocab[\"abc\"]: expected an integer, found \"x\"");
  file.extra = R"("ab": 256, "abc": 257, "a b": 258)";
  CHECK(error(file) == "model.vocab[\"a b\"]: expected a token in the characters of byte-level BPE, found another character");
  file.added = R"([{"id": 258, "content": "a b"}])";
  CHECK(error(file) == "none");  // an added token may be listed in the vocabulary, too
  file = {};
  file.merges = R"(["a b", ["ab", "c"], "a zz"])";
  CHECK(error(file) == "model.merges[2]: expected two tokens of the vocabulary, found \"zz\"");
  file.merges = R"(["ab"])";
  CHECK(error(file) == "model.merges[0]: expected two tokens with a space between them, found \"ab\"");
  file.merges = R"([["a"]])";
  CHECK(error(file) == "model.merges[0]: expected two tokens, found 1");
  file.merges = "7";
  CHECK(error(file) == "model.merges: expected a list, found 7");
}

TEST_CASE("a file with random damage is read or refused, never more") {
  auto const whole = File{}.text();
  sample::Folder const folder{"tokenizer_file"};
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    auto text = whole;
    Random const random{seed, 9};
    if (seed % 2) {
      text.resize(random.below(0, text.size()));
    } else {
      for (std::uint64_t i = 0; i < 3; ++i) text[random.below(2 * i, text.size())] = static_cast<char>(random.below(2 * i + 1, 256));
    }
    auto const path = folder.write("t.json", text);
    try {
      auto const tokenizer = Tokenizer::load(path);
      auto const bytes = replace_invalid(sample::heap(50, seed));
      CHECK(tokenizer.decode(tokenizer.encode(bytes)) == bytes);
    } catch (FileError const&) {
      ++refused;
    }
  }
  CHECK(refused > 200);
}
