// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/members.hpp"

#include <doctest/doctest.h>

#include <array>
#include <optional>

using namespace lierne;

namespace {

struct Two {
  Parameter a{.shape = {2}};
  Parameter b{.shape = {3, 4}};
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("b", self.b);
  }
};

struct Other {
  Parameter c{.shape = {1}};
  static void members(auto& self, auto&& visit) { visit("c", self.c); }
};

struct Nest {
  std::vector<Two> row{2};
  std::variant<Two, Other> either{Other{}};
  std::vector<std::variant<Two, Other>> mixed{Two{}, Other{}};
  std::vector<std::vector<Parameter>> table{{Parameter{}}, {Parameter{}, Parameter{}}};
  std::array<Other, 2> pair{};
  int heads = 4;
  Tensor cache{};
  std::string label{};
  static void members(auto& self, auto&& visit) {
    visit("row", self.row);
    visit("either", self.either);
    visit("mixed", self.mixed);
    visit("table", self.table);
    visit("pair", self.pair);
    visit("heads", self.heads);
    visit("cache", self.cache);
    visit("label", self.label);
  }
};

struct Forgets {
  Parameter a{}, b{}, c{};
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("c", self.c);
  }
};

struct ForgetsVariant {
  std::variant<Two, Other> either{};
  Parameter a{};
  static void members(auto& self, auto&& visit) { visit("a", self.a); }
};

struct Repeats {
  Parameter a{};
  static void members(auto& self, auto&& visit) {
    visit("a", self.a);
    visit("again", self.a);
  }
};

struct Holds {
  int steps = 0;
  Forgets inner{};
  static void members(auto& self, auto&& visit) {
    visit("steps", self.steps);
    visit("inner", self.inner);
  }
};

struct Empty {
  static void members(auto&, auto&&) {}
};

template <class M>
std::vector<std::string> names(M const& module, std::string const& prefix = {}) {
  std::vector<std::string> all;
  walk(module, [&](std::string const& name, Parameter const&) { all.push_back(name); }, prefix);
  return all;
}

using Names = std::vector<std::string>;

}  // namespace

static_assert(Module<Two> && Module<Empty> && !Module<Parameter> && !Module<int> && !Module<std::vector<Two>>);
static_assert(lierne::detail::member_count<Two>() == 2);
static_assert(lierne::detail::member_count<Forgets>() == 3);
static_assert(lierne::detail::member_count<ForgetsVariant>() == 2);
static_assert(lierne::detail::member_count<Nest>() == 8);
static_assert(lierne::detail::member_count<Empty>() == 0);
static_assert(lierne::detail::holds_no_parameter<double> && !lierne::detail::holds_no_parameter<Parameter>);
static_assert(!lierne::detail::holds_no_parameter<Two> && !lierne::detail::holds_no_parameter<std::optional<Other>>);

TEST_CASE("every parameter is visited once, in the order of declaration, with its dotted name") {
  Nest nest;
  CHECK(names(nest) == Names{"row.0.a", "row.0.b", "row.1.a", "row.1.b", "either.c", "mixed.0.a", "mixed.0.b",
                             "mixed.1.c", "table.0.0", "table.1.0", "table.1.1", "pair.0.c", "pair.1.c"});
  nest.either = Two{};
  nest.row.clear();
  CHECK(names(nest).front() == "either.a");
  CHECK(names(Two{}, "layers.3") == Names{"layers.3.a", "layers.3.b"});
}

TEST_CASE("the visitor gets the parameters themselves") {
  Nest nest;
  auto const all = parameters_of(nest);
  CHECK(all.size() == names(nest).size());
  CHECK(all.front() == &nest.row[0].a);
  CHECK(all.back() == &nest.pair[1].c);
  walk(nest, [](std::string const& name, Parameter& p) { p.name = name; });
  CHECK(std::get<Two>(nest.mixed[0]).b.name == "mixed.0.b");
}

TEST_CASE("a module without parameters has none") {
  Empty empty;
  CHECK(parameters_of(empty).empty());
  std::vector<Two> none;
  CHECK(parameters_of(none).empty());
}

TEST_CASE("a member that members() forgets or repeats is refused with both numbers") {
  auto const with = [](char const* text) { return doctest::Contains(text); };
  Forgets forgets;
  CHECK_THROWS_WITH_AS(parameters_of(forgets), with("module: members() names 2 of the 3 data members"), ArgumentError);
  ForgetsVariant variant;
  CHECK_THROWS_WITH_AS(parameters_of(variant), with("names 1 of the 2 data members"), ArgumentError);
  Repeats repeats;
  CHECK_THROWS_WITH_AS(parameters_of(repeats), with("names 2 of the 1 data members"), ArgumentError);
  Holds holds;
  CHECK_THROWS_WITH_AS(names(holds, "layers.3"), with("layers.3.inner: members() names 2 of the 3"), ArgumentError);
}
