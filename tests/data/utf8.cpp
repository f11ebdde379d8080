// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/utf8.hpp"

#include <doctest/doctest.h>

#include <string>

#include "sample.hpp"

using namespace lierne;

static_assert(code_point("a", 0).code == U'a' && code_point("\xf0\x9f\x99\x82", 0).code == U'🙂');
static_assert(code_point("\xe4\xb8", 0).cut && code_point("\xe4\xb8", 0).length == 2);
static_assert(!code_point("\xe4\xb8x", 0).cut && code_point("\xe4\xb8x", 0).length == 2);

namespace {

/// The decoder of the WHATWG standard as it is written there: a state machine over bytes.
std::string whatwg(std::string_view bytes) {
  std::string out;
  char32_t code = 0;
  int seen = 0, needed = 0;
  unsigned lower = 0x80, upper = 0xbf;
  auto const reset = [&] { code = 0, seen = needed = 0, lower = 0x80, upper = 0xbf; };
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    unsigned const byte = static_cast<unsigned char>(bytes[i]);
    if (needed == 0) {
      if (byte <= 0x7f) {
        out.push_back(bytes[i]);
      } else if (byte >= 0xc2 && byte <= 0xdf) {
        needed = 1, code = byte & 0x1f;
      } else if (byte >= 0xe0 && byte <= 0xef) {
        if (byte == 0xe0) lower = 0xa0;
        if (byte == 0xed) upper = 0x9f;
        needed = 2, code = byte & 0xf;
      } else if (byte >= 0xf0 && byte <= 0xf4) {
        if (byte == 0xf0) lower = 0x90;
        if (byte == 0xf4) upper = 0x8f;
        needed = 3, code = byte & 0x7;
      } else {
        out += "\ufffd";
      }
      continue;
    }
    if (byte < lower || byte > upper) {
      reset();
      out += "\ufffd";
      --i;
      continue;
    }
    lower = 0x80, upper = 0xbf;
    code = code << 6 | (byte & 0x3f);
    if (++seen == needed) {
      append_code_point(out, code);
      reset();
    }
  }
  if (needed) out += "\ufffd";
  return out;
}

}  // namespace

TEST_CASE("every code point goes to UTF-8 and back") {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    append_code_point(text, code);
    auto const point = code_point(text, 0);
    REQUIRE((point.valid && point.code == code && point.length == text.size()));
  }
}

TEST_CASE("every sequence of up to three bytes, and heaps of them, are replaced as the standard says") {
  std::string bytes;
  for (unsigned first = 0; first < 256; ++first)
    for (unsigned second = 0; second < 256; ++second)
      for (unsigned third : {0x00U, 0x41U, 0x80U, 0x9fU, 0xa0U, 0xbfU, 0xc3U, 0xe2U, 0xf0U}) {
        bytes = {static_cast<char>(first), static_cast<char>(second), static_cast<char>(third)};
        REQUIRE(replace_invalid(bytes) == whatwg(bytes));
      }
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    bytes = sample::heap(seed, seed);
    std::size_t replaced = 0;
    auto const text = replace_invalid(bytes, &replaced);
    REQUIRE(text == whatwg(bytes));
    REQUIRE(valid_utf8(text) == text.size());
    REQUIRE((replaced == 0) == (valid_utf8(bytes) == bytes.size()));
    REQUIRE(replace_invalid(text) == text);
  }
}

TEST_CASE("a stream in any pieces gives the text of the whole and never half a character") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    auto const bytes = sample::heap(64, seed);
    Random const random{seed, 1};
    Utf8Stream stream;
    std::string text;
    for (std::size_t at = 0, step = 0; at < bytes.size(); ++step) {
      auto const length = random.below(step, 5);
      auto const part = stream.push(std::string_view{bytes}.substr(at, length));
      REQUIRE(valid_utf8(part) == part.size());
      text += part;
      at += length;
    }
    REQUIRE(text + stream.finish() == replace_invalid(bytes));
  }
}

TEST_CASE("a stream holds back what can still be completed and nothing else") {
  Utf8Stream stream;
  CHECK(stream.push("a\xf0\x9f") == "a");
  CHECK(stream.push("\x99") == "");
  CHECK(stream.push("\x82z") == "🙂z");
  CHECK(stream.push("\xf0\x9f") == "");
  CHECK(stream.push("b") == "\ufffd" "b");
  CHECK(stream.push("\xe4") == "");
  CHECK(stream.finish() == "\ufffd");
  CHECK(stream.finish() == "");
}
