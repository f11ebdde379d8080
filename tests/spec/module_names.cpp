// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/module_names.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace lierne;

constexpr auto two = names("output", "feed_forward.w2");
static_assert(two.view() == "output,feed_forward.w2" && !two.empty());
static_assert(names().empty() && names().view().empty() && !names().hold("output"));
static_assert(two == names("output", "feed_forward.w2") && !(two == names("feed_forward.w2", "output")));
static_assert(two.hold("output") && two.hold("layers.3.feed_forward.w2") && !two.hold("layers.3.feed_forward.w1"));

// Whole components: neither a part of one nor the end of another.
static_assert(ModuleNames::stands_for("w2", "layers.3.feed_forward.w2"));
static_assert(ModuleNames::stands_for("layers.1", "layers.1.attention.wq"));
static_assert(!ModuleNames::stands_for("layers.1", "layers.10.attention.wq"));
static_assert(!ModuleNames::stands_for("put", "output") && !ModuleNames::stands_for("out", "output"));
static_assert(!ModuleNames::stands_for("layers.3.feed_forward.w2.weight", "layers.3.feed_forward.w2"));
// A place that does not fit does not hide a later one that does.
static_assert(ModuleNames::stands_for("w.w", "aw.w.w"));

// A list is part of a type.
template <auto list>
struct Holder {
  static constexpr auto names = list;
};
constexpr auto held = Holder<two>::names;
static_assert(held.hold("output"));

TEST_CASE("names are visited in their order") {
  std::vector<std::string> seen;
  names("a", "b.c", "d").for_each([&](std::string_view name) { seen.emplace_back(name); });
  CHECK(seen == std::vector<std::string>{"a", "b.c", "d"});
  names().for_each([&](std::string_view) { seen.clear(); });
  CHECK(seen.size() == 3);
}

TEST_CASE("the longest list is full to its last character") {
  char longest[ModuleNames::capacity];
  for (auto& c : longest) c = 'x';
  longest[ModuleNames::capacity - 1] = 0;
  auto const list = names(longest);
  CHECK(list.view().size() == ModuleNames::capacity - 1);
  CHECK(list.hold(std::string(ModuleNames::capacity - 1, 'x')));
}
