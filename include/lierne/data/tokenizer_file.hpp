// SPDX-License-Identifier: Apache-2.0
// Reads tokenizer.json and the tokenizer_config.json beside it: what they say is used, or refused by name.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/data/added_tokens.hpp"
#include "lierne/data/bpe.hpp"
#include "lierne/data/json.hpp"
#include "lierne/data/pretokenize.hpp"

namespace lierne {

/// What a tokenizer file says.
struct TokenizerSettings {
  Bpe bpe;
  Pattern pattern = Pattern::llama3;
  bool prefix_space = false;
  bool compose = false;  // normaliser NFC
  std::vector<AddedToken> added;
  std::vector<TokenId> before, after;  // put around a text when special tokens are asked for
  std::optional<TokenId> bos, eos;
};

/// Reads a `tokenizer.json` with byte-level BPE. Beginning and end of text come from `bos_token` and `eos_token` of the
/// tokenizer_config.json in the same folder; without that file, from the added tokens with the usual names.
/// Errors: FileError naming file, key, what was expected and what was found, also for every setting that would change
///   ids and is not supported.
/// Source: Hugging Face tokenizers 0.23, `Tokenizer::from_file`.
TokenizerSettings read_tokenizer(std::filesystem::path const& path);

namespace detail {

/// The bytes of a token that is written in the 256 printable characters of byte-level BPE; nothing where a character is
/// none of them. Source: GPT-2, `bytes_to_unicode`.
inline std::optional<std::string> from_byte_level(std::string_view token) {
  static auto const byte_of = [] {
    std::array<std::int16_t, 256 + 68> table;
    table.fill(-1);
    std::int16_t moved = 256;
    for (std::int16_t byte = 0; byte < 256; ++byte) {
      bool const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      table[static_cast<std::size_t>(printable ? byte : moved++)] = byte;
    }
    return table;
  }();
  std::string bytes;
  for (std::size_t at = 0; at < token.size();) {
    auto const point = code_point(token, at);
    if (point.code >= byte_of.size() || byte_of[point.code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte_of[point.code]));
    at += point.length;
  }
  return bytes;
}

/// Large enough for every vocabulary in use, small enough that a wrong id cannot ask for the memory of the machine.
inline constexpr std::int64_t most_ids = std::int64_t{1} << 21;

inline TokenId token_id(JsonAt const& at) { return static_cast<TokenId>(at.integer(most_ids - 1)); }

inline void expect_text(JsonAt const& at, std::string_view expected) {
  if (!at.is_text() || at.text() != expected) at.fail("\"" + std::string{expected} + "\"");
}

/// A setting that must keep the value at which it does nothing.
inline void expect_off(JsonAt const& at) {
  if (at.null() || (at.is_text() && at.text().empty())) return;
  at.fail("null (this setting is not supported)");
}

inline bool flag(JsonAt const& at, bool otherwise) { return at.null() ? otherwise : at.flag(); }

inline std::vector<AddedToken> read_added(JsonAt const& list) {
  std::vector<AddedToken> added;
  if (list.null()) return added;
  for (std::size_t i = 0; i < list.array().size(); ++i) {
    auto const at = list.at(i);
    added.push_back({token_id(at.at("id")), at.at("content").text(), flag(at.get("single_word"), false),
                     flag(at.get("lstrip"), false), flag(at.get("rstrip"), false), flag(at.get("normalized"), false),
                     flag(at.get("special"), false)});
  }
  return added;
}

inline Bpe read_model(JsonAt const& model, std::vector<AddedToken> const& added) {
  expect_text(model.at("type"), "BPE");
  for (auto const* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) expect_off(model.get(key));
  if (flag(model.get("byte_fallback"), false)) model.get("byte_fallback").fail("false (this setting is not supported)");

  auto const vocab = model.at("vocab");
  std::vector<std::string> tokens;
  FlatTable<std::pair<std::string_view, TokenId>> ids{vocab.object().size()};
  for (auto const& [text, value] : vocab.object()) {
    auto const at = [&vocab, &text = text, &value = value] {
      return JsonAt{vocab.file(), value, vocab.key() + "[\"" + text + "\"]"};
    };
    auto const id = token_id(at());
    auto bytes = from_byte_level(text);
    if (!bytes && std::ranges::none_of(added, [&](auto const& token) { return token.id == id; }))
      at().fail("a token in the characters of byte-level BPE", "another character");
    if (static_cast<std::size_t>(id) >= tokens.size()) tokens.resize(static_cast<std::size_t>(id) + 1);
    auto& place = tokens[static_cast<std::size_t>(id)];
    if (!place.empty()) at().fail("an id for each token", message(id, " a second time"));
    if (bytes) place = std::move(*bytes);
    ids.insert(spread(text), {text, id});
  }

  auto const list = model.at("merges");
  std::vector<Bpe::Merge> merges;
  auto const side = [&](std::size_t i, std::string_view text) {
    auto const* found = ids.find(spread(text), [&](auto const& entry) { return entry.first == text; });
    if (!found) list.at(i).fail("two tokens of the vocabulary", "\"" + std::string{text} + "\"");
    return found->second;
  };
  for (std::size_t i = 0; i < list.array().size(); ++i) {
    Json const& merge = list.array()[i];
    if (auto const* text = std::get_if<std::string>(&merge.value)) {
      auto const space = text->find(' ');
      if (space == text->npos) list.at(i).fail("two tokens with a space between them");
      std::string_view const both = *text;
      merges.push_back({side(i, both.substr(0, space)), side(i, both.substr(space + 1))});
    } else {
      auto const at = list.at(i);
      if (at.array().size() != 2) at.fail("two tokens", message(at.array().size()));
      merges.push_back({side(i, at.at(std::size_t{0}).text()), side(i, at.at(std::size_t{1}).text())});
    }
  }
  try {
    return {std::move(tokens), merges, flag(model.get("ignore_merges"), false)};
  } catch (ArgumentError const& error) {
    throw FileError(message(model.file(), ": ", model.key(), ": ", error.what()));
  }
}

inline void read_pre_tokenizer(JsonAt const& at, TokenizerSettings& settings) {
  auto const byte_level = [](JsonAt const& level, bool regex, bool prefix) {
    expect_text(level.at("type"), "ByteLevel");
    if (flag(level.get("use_regex"), true) != regex) level.get("use_regex").fail(regex ? "true" : "false");
    bool const found = flag(level.get("add_prefix_space"), true);
    if (found && !prefix) level.get("add_prefix_space").fail("false");
    return found;
  };
  if (at.at("type").text() == "ByteLevel") {
    settings.pattern = Pattern::gpt2;
    settings.prefix_space = byte_level(at, true, true);
    return;
  }
  expect_text(at.at("type"), "Sequence");
  auto const list = at.at("pretokenizers");
  if (list.array().size() != 2) list.fail("Split and ByteLevel", message(list.array().size(), " steps"));
  auto const split = list.at(std::size_t{0});
  expect_text(split.at("type"), "Split");
  expect_text(split.at("behavior"), "Isolated");
  if (flag(split.get("invert"), false)) split.get("invert").fail("false");
  settings.pattern = pattern_of(split.at("pattern").at("Regex").text(), at.file());
  byte_level(list.at(std::size_t{1}), false, false);
}

inline void read_post_processor(JsonAt const& at, TokenizerSettings& settings) {
  if (at.null()) return;
  auto const type = at.at("type").text();
  if (type == "ByteLevel") return;  // it moves offsets, which nobody here reads
  if (type == "Sequence") {
    auto const list = at.at("processors");
    for (std::size_t i = 0; i < list.array().size(); ++i) read_post_processor(list.at(i), settings);
    return;
  }
  expect_text(at.at("type"), "TemplateProcessing");
  auto const parts = at.at("single");
  bool text_seen = false;
  for (std::size_t i = 0; i < parts.array().size(); ++i) {
    auto const part = parts.at(i);
    if (!part.get("Sequence").null()) {
      text_seen = true;
      continue;
    }
    auto const ids = at.at("special_tokens").at(part.at("SpecialToken").at("id").text()).at("ids");
    for (std::size_t k = 0; k < ids.array().size(); ++k)
      (text_seen ? settings.after : settings.before).push_back(token_id(ids.at(k)));
  }
  if (!text_seen) parts.fail("a part \"Sequence\"", "none");
}

inline std::optional<TokenId> id_of(TokenizerSettings const& settings, std::string_view content) {
  for (auto const& token : settings.added)
    if (token.content == content) return token.id;
  return std::nullopt;
}

inline void read_ends(std::filesystem::path const& config, TokenizerSettings& settings) {
  if (!std::filesystem::exists(config)) {
    for (auto const* name : {"<|begin_of_text|>", "<s>", "<|endoftext|>"})
      if (!settings.bos) settings.bos = id_of(settings, name);
    for (auto const* name : {"<|end_of_text|>", "</s>", "<|endoftext|>"})
      if (!settings.eos) settings.eos = id_of(settings, name);
    return;
  }
  auto const file = config.string();
  auto const json = Json::parse(read_bytes(file), file);
  auto const read = [&](char const* key) -> std::optional<TokenId> {
    auto const at = JsonAt{file, json}.get(key);
    if (at.null()) return std::nullopt;
    auto const content = at.is_object() ? at.at("content").text() : at.text();
    auto const id = id_of(settings, content);
    if (!id) at.fail("the content of one of added_tokens");
    return id;
  };
  settings.bos = read("bos_token");
  settings.eos = read("eos_token");
}

}  // namespace detail

inline TokenizerSettings read_tokenizer(std::filesystem::path const& path) {
  using namespace detail;
  auto const file = path.string();
  auto const json = Json::parse(read_bytes(file), file);
  JsonAt const root{file, json};
  TokenizerSettings settings;
  for (auto const* key : {"truncation", "padding"}) expect_off(root.get(key));
  if (auto const at = root.get("normalizer"); !at.null()) {
    expect_text(at.at("type"), "NFC");
    settings.compose = true;
  }
  expect_text(root.at("decoder").at("type"), "ByteLevel");
  settings.added = read_added(root.get("added_tokens"));
  settings.bpe = read_model(root.at("model"), settings.added);
  read_pre_tokenizer(root.at("pre_tokenizer"), settings);
  read_post_processor(root.get("post_processor"), settings);
  read_ends(path.parent_path() / "tokenizer_config.json", settings);
  return settings;
}

}  // namespace lierne
