// SPDX-License-Identifier: Apache-2.0
// The tokenizer: text to ids and back by the rules of a tokenizer.json with byte-level BPE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/data/token.hpp"
#include "lierne/data/utf8.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <utility>

#include "lierne/core/error.hpp"
#include "lierne/data/added_tokens.hpp"
#include "lierne/data/bpe.hpp"
#include "lierne/data/normalize.hpp"
#include "lierne/data/pretokenize.hpp"
#include "lierne/data/tokenizer_file.hpp"
#endif

namespace lierne {

class PieceCache;          // bpe.hpp
struct TokenizerSettings;  // tokenizer_file.hpp
namespace detail {
struct TokenizerParts;
}

/// Byte-level BPE as Llama 3 and GPT-2 use it; the same ids as Hugging Face's `tokenizers`.
///
/// Steps: invalid UTF-8 becomes U+FFFD; added tokens are cut out; the rest is normalised, split by the pattern, and
///   each piece encoded by merges. Decoding joins the bytes of all tokens and replaces what is not UTF-8.
/// Numerics: the categories of Unicode 16.
/// Example: `auto t = Tokenizer::load("tokenizer.json"); t.decode(t.encode("Emma Woodhouse"))`.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerSettings settings);

  /// Errors: see `read_tokenizer`.
  static Tokenizer load(std::filesystem::path const& path);

  /// The ids of a text; with `special` between what the file's template puts around it (Llama 3: begin of text).
  std::vector<TokenId> encode(std::string_view text, bool special = false) const;
  /// Appends to `ids`; a cache kept between calls saves the time of pieces seen before.
  void encode(std::string_view text, std::vector<TokenId>& ids, PieceCache& cache, bool special = false) const;

  /// The text of ids: valid UTF-8 where a slice of ids cuts a character, too; with `skip_special` no special tokens.
  /// Errors: ArgumentError for an id that no token has.
  std::string decode(std::span<TokenId const> ids, bool skip_special = false) const;

  /// The bytes of one token; an added token's text.
  /// Errors: ArgumentError for an id that no token has.
  std::string const& token_bytes(TokenId id) const;

  /// Bytes of text that a token stands for, the denominator of bits per byte: 0 for a special token and an unused id.
  std::size_t text_bytes(TokenId id) const {
    auto const at = static_cast<std::size_t>(id);
    return id < 0 || at >= size() || special_[at] ? 0 : bytes_[at].size();
  }

  bool is_special(TokenId id) const {
    return id >= 0 && static_cast<std::size_t>(id) < size() && special_[static_cast<std::size_t>(id)];
  }

  /// One more than the largest id: the rows that an embedding needs.
  std::size_t size() const { return bytes_.size(); }
  /// The ids for the begin and the end of a text, where the tokenizer has them.
  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }

 private:
  std::shared_ptr<detail::TokenizerParts const> parts_;  // what encoding needs
  std::vector<std::string> bytes_;                       // by id
  std::vector<std::uint8_t> special_;                    // by id
  std::optional<TokenId> bos_, eos_;
};

/// Text from ids that come one by one: what a token completes is given at once, a cut character waits for its rest.
/// Law: everything `push` gave, followed by `finish`, is `tokenizer.decode` of all the ids.
/// Example: `StreamDecoder out{tokenizer}; for (...) std::cout << out.push(id); std::cout << out.finish();`.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer const& tokenizer, bool skip_special = false)
      : tokenizer_{&tokenizer}, skip_special_{skip_special} {}

  std::string push(TokenId id) {
    if (skip_special_ && tokenizer_->is_special(id)) return {};
    return stream_.push(tokenizer_->token_bytes(id));
  }
  std::string finish() { return stream_.finish(); }

 private:
  Tokenizer const* tokenizer_;
  bool skip_special_;
  Utf8Stream stream_;
};

/// Holds a model's vocabulary against a tokenizer: every id must have a row. More rows than ids are allowed (padding).
/// Errors: ArgumentError naming both numbers.
/// Example: `check_vocabulary(tokenizer, spec.vocab)`.
void check_vocabulary(Tokenizer const& tokenizer, std::int64_t vocab);

#if LIERNE_BODIES
namespace detail {

struct TokenizerParts {
  TokenizerSettings settings;
  AddedTokens raw, normalized;  // by the text in which they are looked for

  /// The ids of a text without added tokens, which is not empty.
  void encode(std::string_view text, std::vector<TokenId>& ids, PieceCache& cache) const {
    std::string spaced;
    if (settings.prefix_space && text.front() != ' ') text = spaced = " " + std::string{text};
    pretokenize(settings.pattern, text, [&](std::string_view piece) { settings.bpe.encode(piece, ids, cache); });
  }
};

}  // namespace detail

LIERNE_INLINE Tokenizer::Tokenizer(TokenizerSettings settings) : bos_{settings.bos}, eos_{settings.eos} {
  std::size_t size = settings.bpe.size();
  for (auto const& token : settings.added) size = std::max(size, static_cast<std::size_t>(token.id) + 1);
  bytes_.resize(size);
  special_.resize(size);
  for (std::size_t id = 0; id < settings.bpe.size(); ++id) bytes_[id] = settings.bpe.bytes(static_cast<TokenId>(id));
  std::vector<AddedToken> raw, normalized;
  for (auto const& token : settings.added) {
    bytes_[static_cast<std::size_t>(token.id)] = token.content;
    special_[static_cast<std::size_t>(token.id)] = token.special;
    (token.normalized ? normalized : raw).push_back(token);
  }
  parts_ = std::make_shared<detail::TokenizerParts const>(detail::TokenizerParts{
      std::move(settings), AddedTokens{std::move(raw)}, AddedTokens{std::move(normalized)}});
}

LIERNE_INLINE Tokenizer Tokenizer::load(std::filesystem::path const& path) { return Tokenizer{read_tokenizer(path)}; }

LIERNE_INLINE std::vector<TokenId> Tokenizer::encode(std::string_view text, bool special) const {
  PieceCache cache;
  std::vector<TokenId> ids;
  encode(text, ids, cache, special);
  return ids;
}

LIERNE_INLINE void Tokenizer::encode(std::string_view text, std::vector<TokenId>& ids, PieceCache& cache,
                                     bool special) const {
  std::string replaced;
  if (valid_utf8(text) != text.size()) text = replaced = replace_invalid(text);
  auto const put = [&](TokenId id) { ids.push_back(id); };
  auto const& [settings, raw, normalized] = *parts_;
  if (special) ids.insert(ids.end(), settings.before.begin(), settings.before.end());
  auto const encode_part = [&, &settings = settings, &normalized = normalized](std::string_view part) {
    std::string composed;
    if (settings.compose) part = composed = nfc(part);
    normalized.split(part, [&](std::string_view piece) { parts_->encode(piece, ids, cache); }, put);
  };
  raw.split(text, encode_part, put);
  if (special) ids.insert(ids.end(), settings.after.begin(), settings.after.end());
}

LIERNE_INLINE std::string Tokenizer::decode(std::span<TokenId const> ids, bool skip_special) const {
  std::string bytes;
  for (auto id : ids)
    if (!(skip_special && is_special(id))) bytes += token_bytes(id);
  return replace_invalid(bytes);
}

LIERNE_INLINE std::string const& Tokenizer::token_bytes(TokenId id) const {
  check(id >= 0 && static_cast<std::size_t>(id) < size() && !bytes_[static_cast<std::size_t>(id)].empty(),
        "token id: expected one of the ", size(), " ids of the tokenizer, found ", id);
  return bytes_[static_cast<std::size_t>(id)];
}

LIERNE_INLINE void check_vocabulary(Tokenizer const& tokenizer, std::int64_t vocab) {
  check(vocab >= 0 && tokenizer.size() <= static_cast<std::uint64_t>(vocab), "tokenizer: expected ids below ", vocab,
        ", the model's .vocab; found ids up to ", static_cast<std::int64_t>(tokenizer.size()) - 1,
        " (set .vocab to at least ", tokenizer.size(), ")");
}
#endif

}  // namespace lierne
