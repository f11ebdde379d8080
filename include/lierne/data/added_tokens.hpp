// SPDX-License-Identifier: Apache-2.0
// Tokens that are cut out of a text before anything else looks at it, such as <|end_of_text|>.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/data/bpe.hpp"
#include "lierne/data/unicode.hpp"
#include "lierne/data/utf8.hpp"

namespace lierne {

/// A token with a text of its own. `lstrip` and `rstrip` take white space on that side with it, `single_word` wants no
/// word character next to it, `normalized` looks for it after normalisation, `special` ones are no text of a user's.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false, normalized = false, special = false;
};

/// Finds added tokens in a text: leftmost first, the longest among those that start at one place.
/// Source: Hugging Face tokenizers, `AddedVocabulary::find_matches`.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// Tokens with an empty content match nowhere.
  explicit AddedTokens(std::vector<AddedToken> tokens) : tokens_{std::move(tokens)} {
    std::erase_if(tokens_, [](auto const& token) { return token.content.empty(); });
    std::ranges::sort(tokens_, {}, &AddedToken::content);
    for (auto const& token : tokens_) starts_[static_cast<unsigned char>(token.content[0])] = true;
  }

  /// Calls on_text(text) for what lies between tokens, never empty, and on_token(id) for the tokens, in order.
  template <class OnText, class OnToken>
  void split(std::string_view text, OnText&& on_text, OnToken&& on_token) const {
    std::size_t begin = 0;  // what follows the last token
    for (std::size_t at = 0; at < text.size();) {
      auto const* token = starts_[static_cast<unsigned char>(text[at])] ? longest(text.substr(at)) : nullptr;
      if (!token) {
        ++at;
        continue;
      }
      auto first = at, last = at + token->content.size();
      at = last;
      if (token->single_word && (word_before(text, first) || word_at(text, last))) continue;
      if (token->lstrip)
        while (first > begin && space_at(text, before(text, first))) first = before(text, first);
      if (token->rstrip)
        while (last < text.size() && space_at(text, last)) last += code_point(text, last).length;
      if (begin < first) on_text(text.substr(begin, first - begin));
      on_token(token->id);
      begin = last;
    }
    if (begin < text.size()) on_text(text.substr(begin));
  }

 private:
  /// The longest token at the start of the text. The tokens are sorted: those with a common start are neighbours, and
  /// each byte narrows them down.
  AddedToken const* longest(std::string_view text) const {
    auto first = tokens_.begin(), last = tokens_.end();
    AddedToken const* found = nullptr;
    for (std::size_t depth = 0; depth < text.size() && first != last; ++depth) {
      auto const byte = [&](AddedToken const& token) { return static_cast<unsigned char>(token.content[depth]); };
      auto const [low, high] = std::ranges::equal_range(first, last, static_cast<unsigned char>(text[depth]), {}, byte);
      first = low, last = high;
      // The shortest of those with a common start comes first; it ends here or goes on.
      while (first != last && first->content.size() == depth + 1) found = &*first++;
    }
    return found;
  }

  static std::size_t before(std::string_view text, std::size_t at) {
    do --at;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
    return at;
  }
  static bool space_at(std::string_view text, std::size_t at) {
    return is_space(code_class(code_point(text, at).code));
  }
  static bool word_at(std::string_view text, std::size_t at) {
    return at < text.size() && is_word(code_class(code_point(text, at).code));
  }
  static bool word_before(std::string_view text, std::size_t at) { return at > 0 && word_at(text, before(text, at)); }

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> starts_{};
};

}  // namespace lierne
