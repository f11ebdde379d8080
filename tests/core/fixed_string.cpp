// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/fixed_string.hpp"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

using lierne::FixedString;

template <FixedString text>
struct Tag {
  static constexpr auto value = text;
};

static_assert(FixedString{"width"} == "width" && !(FixedString{"width"} == "widt"));
static_assert(!(FixedString{"width"} == "Width"));
static_assert(FixedString{""}.view().empty());
static_assert(std::is_same_v<Tag<"a">, Tag<"a">> && !std::is_same_v<Tag<"a">, Tag<"b">>);
static_assert(!std::is_same_v<Tag<"a">, Tag<"aa">>);
static_assert(Tag<"layers">::value == "layers");

TEST_CASE("the view is the literal without its end mark") {
  CHECK(std::string(Tag<"tok_embeddings">::value.view()) == "tok_embeddings");
  CHECK(FixedString{"a\0b"}.view() == std::string_view("a\0b", 3));
}
