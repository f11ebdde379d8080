// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/groups.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/adamw.hpp"

using namespace lierne;

static_assert(std::same_as<decltype(grouped(adamw(), groups(otherwise()))), Grouped<decltype(adamw())>>);

namespace {

Groups usual() { return groups(on<Kind::embedding>({.rate = 2}), on<Kind::norm, Kind::vector>({.decay = 0}), otherwise()); }

std::size_t group(Groups const& all, std::string const& name, Shape const& shape, Kind kind) {
  return all.of({name, shape, kind_of(kind, shape.size())});
}

}  // namespace

TEST_CASE("every parameter finds its group") {
  CHECK(group(usual(), "tok_embeddings.weight", {32, 8}, Kind::embedding) == 0);
  CHECK(group(usual(), "norm.weight", {8}, Kind::norm) == 1);
  CHECK(group(usual(), "bias", {8}, Kind::by_shape) == 1);
  CHECK(group(usual(), "wq.weight", {8, 8}, Kind::by_shape) == 2);
}

TEST_CASE("the order of groups does not matter, nor where the rest stands") {
  auto const turned = groups(otherwise(), on<Kind::norm, Kind::vector>({.decay = 0}), on<Kind::embedding>({.rate = 2}));
  for (auto const kind : {Kind::embedding, Kind::output, Kind::norm, Kind::matrix, Kind::vector}) {
    auto const one = usual().all[group(usual(), "w", {2, 2}, kind)];
    auto const other = turned.all[group(turned, "w", {2, 2}, kind)];
    CHECK(one.multipliers == other.multipliers);
  }
}

TEST_CASE("a parameter in no group or in two is named, and so are the groups") {
  auto const two = groups(on<Kind::matrix>({.rate = 2}), on(named("*.wq.*"), {.rate = 3}));
  CHECK_THROWS_WITH_AS(group(two, "layers.0.wq.weight", {8, 4}, Kind::by_shape),
                       "groups: 'layers.0.wq.weight' (matrix [8, 4]) is in two groups, [matrix] and ['*.wq.*'] "
                       "(a parameter belongs to one)",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(group(two, "norm.weight", {8}, Kind::norm),
                       "groups: 'norm.weight' (norm [8]) is in none of the groups [matrix] ['*.wq.*'] "
                       "(add otherwise() for the rest)",
                       ArgumentError);
  CHECK_THROWS_WITH_AS(groups(otherwise(), otherwise()), "groups: expected one otherwise() at most, found 2", ArgumentError);
}
