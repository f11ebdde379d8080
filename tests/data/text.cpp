// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/text.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sample.hpp"

using namespace lierne;

namespace {

using Ids = std::vector<TokenId>;
using Documents = std::vector<std::string>;
constexpr TokenId bos = 256, eos = 257;

Ids ids(std::span<TokenId const> tokens) { return {tokens.begin(), tokens.end()}; }

/// Between begin and end: the bytes from `from` to `to` of a document as ids.
void part(Ids& out, std::string const& document, std::size_t from, std::size_t to) {
  if (from == to) return;
  out.push_back(bos);
  for (auto i = from; i < to; ++i) out.push_back(static_cast<unsigned char>(document[i]));
  out.push_back(eos);
}

}  // namespace

TEST_CASE("each document is cut at the first token from its share on, and each part is begun and ended") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Documents documents;
    for (std::uint64_t i = 0; i < 4; ++i) documents.push_back(sample::letters(Random{seed, 5}.below(i, 60), seed + i));
    documents.push_back("x");
    Ids train, validation;
    for (auto const& document : documents) {
      std::size_t cut = 0;
      while (static_cast<double>(cut) < 0.9 * static_cast<double>(document.size())) ++cut;
      part(train, document, 0, cut);
      part(validation, document, cut, document.size());
    }
    Text const text{sample::byte_tokenizer(), documents, {.validation = 0.1}};
    REQUIRE(ids(text.train()) == train);
    REQUIRE(ids(text.validation()) == validation);
  }
}

TEST_CASE("both parts of a document decode to the whole, and their bytes are those of the text") {
  Documents const documents{"It was a truth universally acknowledged, caf\u00e9 \u4e2d\u6587 " + sample::letters(500)};
  Text const text{sample::golden_tokenizer(), documents, {.validation = 0.3}};
  auto const& tokenizer = text.tokenizer();
  CHECK(tokenizer.decode(text.train(), true) + tokenizer.decode(text.validation(), true) == documents[0]);
  auto const size = static_cast<std::int64_t>(documents[0].size());
  CHECK(text.bytes(text.train()) + text.bytes(text.validation()) == size);
  // The cut is the first token boundary at or after 70 %.
  CHECK(static_cast<double>(text.bytes(text.train())) >= 0.7 * static_cast<double>(size));
  CHECK(static_cast<double>(text.bytes(text.train().first(text.train().size() - 2))) < 0.7 * static_cast<double>(size));
}

TEST_CASE("a folder is read in the order of names, text files only") {
  sample::Folder const folder{"text"};
  folder.write("b.txt", "bb");
  folder.write("a.txt", "a");
  folder.write("c.md", "no");
  folder.write("empty.txt", "");
  std::filesystem::create_directories(folder.path / "d.txt");
  auto const whole = text(folder.path, sample::byte_tokenizer(), {.validation = 0});
  CHECK(ids(whole.train()) == Ids{bos, 'a', eos, bos, 'b', 'b', eos});
  CHECK(whole.validation().empty());
  CHECK(whole.documents() == 2);
  CHECK(ids(text(folder.path / "c.md", sample::byte_tokenizer(), {.validation = 0}).train()) == Ids{bos, 'n', 'o', eos});
  auto const tokenizer = std::filesystem::path{LIERNE_GOLDEN} / "tokenizer/tokenizer.json";
  CHECK(text(folder.path / "b.txt", tokenizer).train().front() == 4084);
}

TEST_CASE("bytes that are no UTF-8 are replaced and counted") {
  Documents const documents{"a\xff" "b\xe4\xb8", "fine"};
  Text const text{sample::byte_tokenizer(), documents, {.validation = 0}};
  CHECK(text.replaced() == 2);
  CHECK(text.tokenizer().decode(text.train(), true) == "a\ufffd" "b\ufffd" "fine");
  CHECK(text.bytes(text.train()) == 12);
}

TEST_CASE("a special token in a text is itself, and stands for no byte") {
  Documents const documents{"a</s>b"};
  Text const text{sample::byte_tokenizer(), documents, {.validation = 0}};
  CHECK(ids(text.train()) == Ids{bos, 'a', eos, 'b', eos});
  CHECK(text.bytes(text.train()) == 2);
}

TEST_CASE("the fingerprint follows the tokens and the cut") {
  auto const of = [](Documents const& documents, double validation) {
    return Text{sample::byte_tokenizer(), documents, {.validation = validation}}.fingerprint();
  };
  CHECK(of({"abcdefghij"}, 0.1) == of({"abcdefghij"}, 0.1));
  CHECK(of({"abcdefghij"}, 0.1) != of({"abcdefghij"}, 0.2));
  CHECK(of({"abcdefghij"}, 0.1) != of({"abcdefghik"}, 0.1));
  CHECK(of({"abcdefghij"}, 0.1) != of({"abcde", "fghij"}, 0.1));
}

TEST_CASE("no file, no text file, no text, and a part outside [0, 1) are errors") {
  sample::Folder const folder{"text"};
  auto const path = folder.path.string();
  CHECK_THROWS_WITH_AS(text(folder.path / "none", sample::byte_tokenizer()),
                       (path + "/none: expected a text file or a folder of .txt files, found nothing").c_str(), FileError);
  CHECK_THROWS_WITH_AS(text(folder.path, sample::byte_tokenizer()),
                       (path + ": expected a folder with .txt files, found none in it").c_str(), FileError);
  folder.write("a.txt", "");
  CHECK_THROWS_WITH_AS(text(folder.path, sample::byte_tokenizer()), (path + ": expected text, found 1 empty file").c_str(), FileError);
  CHECK_THROWS_AS(text(folder.write("b.txt", "b"), folder.path / "no.json"), FileError);
  Documents const documents{"abc"};
  CHECK_THROWS_WITH_AS((Text{sample::byte_tokenizer(), documents, {.validation = 1}}),
                       "text: validation: expected a part in [0, 1), found 1", ArgumentError);
  CHECK_THROWS_AS((Text{sample::byte_tokenizer(), documents, {.validation = -0.1}}), ArgumentError);
  CHECK_THROWS_AS((Text{sample::byte_tokenizer(), {}, {}}), ArgumentError);
}
