// SPDX-License-Identifier: Apache-2.0
// Text files as two streams of tokens: the text to train on, and the held-out end of each file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/data/token.hpp"
#include "lierne/data/tokenizer.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>

#include "lierne/core/error.hpp"
#include "lierne/core/hash.hpp"
#include "lierne/data/bpe.hpp"
#include "lierne/data/json.hpp"
#endif

namespace lierne {

/// Settings of `text`.
struct TextOptions {
  double validation = 0.05;  ///< the held-out part of each file, in [0, 1)
};

/// Tokenised documents, read once and shared by copies. Each file is one document, cut in two: the head is trained on,
/// the tail is held out, and each part is put between the tokenizer's begin and end of text, where it has them.
///
/// Math: the tail starts at the first token that begins at or after byte (1 - validation) * bytes of the document.
/// Units: bytes are those of the text as UTF-8, after U+FFFD was put in place of what is not UTF-8 (`replaced` times).
class Text {
 public:
  /// One document for each element of `documents`, in this order; empty ones are left out.
  /// Errors: ArgumentError where `validation` is outside [0, 1) or no document holds any text.
  Text(std::shared_ptr<Tokenizer const> tokenizer, std::span<std::string const> documents, TextOptions options = {});

  Tokenizer const& tokenizer() const { return *content_->tokenizer; }
  std::span<TokenId const> train() const { return content_->train; }
  std::span<TokenId const> validation() const { return content_->validation; }
  /// Documents with text in them.
  std::int64_t documents() const { return content_->documents; }
  /// Invalid parts of the files that U+FFFD stands for.
  std::int64_t replaced() const { return content_->replaced; }
  /// A number that differs for other tokens; a saved position is held against it.
  std::uint64_t fingerprint() const { return content_->fingerprint; }

  /// Bytes of text that some tokens stand for. Units: bytes; special tokens count 0.
  std::int64_t bytes(std::span<TokenId const> tokens) const;

 private:
  struct Content {
    std::shared_ptr<Tokenizer const> tokenizer;
    std::vector<TokenId> train, validation;
    std::int64_t documents = 0, replaced = 0;
    std::uint64_t fingerprint = 0;
  };
  std::shared_ptr<Content const> content_;
};

/// Every `.txt` file of a folder in the order of their names, or one file of any name, encoded by a `tokenizer.json`.
/// Errors: FileError where the path, its text or the tokenizer is missing or unreadable.
/// Example: `text("data/austen", "tokenizer.json") | pack(1024) | shuffle(42) | batch(32)`.
Text text(std::filesystem::path const& path, std::shared_ptr<Tokenizer const> tokenizer, TextOptions options = {});
Text text(std::filesystem::path const& path, std::filesystem::path const& tokenizer, TextOptions options = {});

#if LIERNE_BODIES
LIERNE_INLINE Text text(std::filesystem::path const& path, std::shared_ptr<Tokenizer const> tokenizer,
                        TextOptions options) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  std::error_code failed;
  if (fs::is_directory(path, failed)) {
    for (auto const& entry : fs::directory_iterator{path})
      if (entry.path().extension() == ".txt" && entry.is_regular_file()) files.push_back(entry.path());
    check<FileError>(!files.empty(), path.string(), ": expected a folder with .txt files, found none in it");
    std::ranges::sort(files);
  } else {
    check<FileError>(fs::exists(path, failed), path.string(),
                     ": expected a text file or a folder of .txt files, found nothing");
    files.push_back(path);
  }
  std::vector<std::string> documents;
  for (auto const& file : files) documents.push_back(read_bytes(file.string()));
  check<FileError>(std::ranges::any_of(documents, [](auto const& d) { return !d.empty(); }), path.string(),
                   ": expected text, found ", files.size(), " empty file", files.size() == 1 ? "" : "s");
  return {std::move(tokenizer), documents, options};
}

LIERNE_INLINE Text text(std::filesystem::path const& path, std::filesystem::path const& tokenizer, TextOptions options) {
  return text(path, std::make_shared<Tokenizer const>(Tokenizer::load(tokenizer)), options);
}

namespace detail {

/// A part of a document between begin and end of text.
inline void append_part(std::vector<TokenId>& stream, std::span<TokenId const> part, Tokenizer const& tokenizer) {
  if (part.empty()) return;
  if (auto const bos = tokenizer.bos()) stream.push_back(*bos);
  stream.insert(stream.end(), part.begin(), part.end());
  if (auto const eos = tokenizer.eos()) stream.push_back(*eos);
}

}  // namespace detail

LIERNE_INLINE Text::Text(std::shared_ptr<Tokenizer const> tokenizer, std::span<std::string const> documents,
                         TextOptions options) {
  check(options.validation >= 0 && options.validation < 1, "text: validation: expected a part in [0, 1), found ",
        options.validation);
  auto content = std::make_shared<Content>();
  content->tokenizer = std::move(tokenizer);
  PieceCache cache;
  std::vector<TokenId> ids;
  for (std::string_view document : documents) {
    if (document.empty()) continue;
    std::string valid;
    if (valid_utf8(document) != document.size()) {
      std::size_t replaced = 0;
      document = valid = replace_invalid(document, &replaced);
      content->replaced += static_cast<std::int64_t>(replaced);
    }
    ++content->documents;
    ids.clear();
    content->tokenizer->encode(document, ids, cache);
    double total = 0, seen = 0;
    for (auto id : ids) total += static_cast<double>(content->tokenizer->text_bytes(id));
    std::size_t cut = 0;
    while (cut < ids.size() && seen < (1 - options.validation) * total)
      seen += static_cast<double>(content->tokenizer->text_bytes(ids[cut++]));
    if (options.validation == 0) cut = ids.size();
    detail::append_part(content->train, std::span{ids}.first(cut), *content->tokenizer);
    detail::append_part(content->validation, std::span{ids}.subspan(cut), *content->tokenizer);
  }
  check(content->documents > 0, "text: expected at least one document with text, found ", documents.size(), " empty");
  auto const mix = [&](std::span<TokenId const> tokens) {
    std::string_view const bytes{reinterpret_cast<char const*>(tokens.data()), tokens.size_bytes()};
    content->fingerprint = hash(bytes, content->fingerprint);
  };
  content->fingerprint = hash_start;
  mix(content->train);
  mix(content->validation);
  content_ = std::move(content);
}

LIERNE_INLINE std::int64_t Text::bytes(std::span<TokenId const> tokens) const {
  std::int64_t sum = 0;
  for (auto id : tokens) sum += static_cast<std::int64_t>(tokenizer().text_bytes(id));
  return sum;
}
#endif

}  // namespace lierne
