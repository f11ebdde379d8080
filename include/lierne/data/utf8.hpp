// SPDX-License-Identifier: Apache-2.0
// UTF-8: decoding with one replacement character for each maximal invalid part, whole and in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace lierne {

/// One decoded code point: its value (U+FFFD when invalid), the bytes it takes, and whether they were valid.
/// `cut` says that the text ended inside a sequence that more bytes could have completed.
struct CodePoint {
  char32_t code = 0xfffd;
  std::uint32_t length = 1;
  bool valid = false;
  bool cut = false;
};

/// The code point at `at`, at < text.size(). An invalid one takes the longest part that begins some valid sequence,
/// and one byte where there is none.
/// Source: WHATWG Encoding, UTF-8 decoder; the same as Rust's `from_utf8_lossy`.
constexpr CodePoint code_point(std::string_view text, std::size_t at) {
  auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned const first = byte(at);
  if (first < 0x80) return {first, 1, true};
  if (first < 0xc2 || first > 0xf4) return {};
  std::uint32_t const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  char32_t code = first & (0x7fU >> length);
  // The second byte has a narrower range after four first bytes: no overlong form, surrogate or value past U+10FFFF.
  unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  for (std::uint32_t i = 1; i < length; ++i) {
    if (at + i == text.size()) return {0xfffd, i, false, true};
    unsigned const next = byte(at + i);
    if (next < low || next > high) return {0xfffd, i, false};
    code = code << 6 | (next & 0x3f);
    low = 0x80, high = 0xbf;
  }
  return {code, length, true};
}

/// Appends the UTF-8 form of a code point, which is no surrogate and at most U+10FFFF.
constexpr void append_code_point(std::string& out, char32_t code) {
  auto const put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

/// Bytes from the start that are valid UTF-8; text.size() when all are.
inline std::size_t valid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    // Eight bytes of ASCII at a time.
    std::uint64_t word = 0;
    if (at + 8 <= text.size() && (std::memcpy(&word, text.data() + at, 8), (word & 0x8080808080808080U) == 0)) {
      at += 8;
      continue;
    }
    auto const point = code_point(text, at);
    if (!point.valid) break;
    at += point.length;
  }
  return at;
}

/// The text with U+FFFD in place of every maximal invalid part; `replaced`, when given, is increased by their number.
inline std::string replace_invalid(std::string_view text, std::size_t* replaced = nullptr) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    auto const valid = valid_utf8(text);
    out.append(text.substr(0, valid));
    text.remove_prefix(valid);
    if (text.empty()) break;
    append_code_point(out, 0xfffd);
    if (replaced) ++*replaced;
    text.remove_prefix(code_point(text, 0).length);
  }
  return out;
}

/// Bytes in, valid UTF-8 out, piece by piece: an unfinished sequence at the end waits for its next bytes.
/// Law: everything `push` gave, followed by `finish`, is `replace_invalid` of all the bytes.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes) {
    held_.append(bytes);
    std::size_t end = held_.size();
    // Only a sequence that starts among the last three bytes can be unfinished.
    for (std::size_t at = end < 3 ? 0 : end - 3; at < end; ++at)
      if (static_cast<unsigned char>(held_[at]) >= 0xc2 && code_point(held_, at).cut) end = at;
    std::string const ready = replace_invalid(std::string_view{held_}.substr(0, end));
    held_.erase(0, end);
    return ready;
  }

  /// The rest: what was still unfinished is one replacement character.
  std::string finish() {
    std::string const rest = replace_invalid(held_);
    held_.clear();
    return rest;
  }

 private:
  std::string held_;
};

}  // namespace lierne
