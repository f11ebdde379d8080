// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/roles.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace lierne;

struct OwnMask {
  static constexpr auto role = Role::mask;
};
struct WrongType {
  static constexpr int role = 2;
};
struct NoRole {};

static_assert(Piece<OwnMask> && Fills<OwnMask, Role::mask> && !Fills<OwnMask, Role::mixer>);
static_assert(!Piece<WrongType> && !Fills<WrongType, Role::mask>);
static_assert(!Piece<NoRole> && !Fills<NoRole, Role::mixer>);
static_assert(!Piece<int> && !Fills<int, Role::mixer> && !Piece<int*>);

TEST_CASE("each role has the name of its slot") {
  CHECK(std::string(name(Role::mixer)) == "mixer");
  CHECK(std::string(name(Role::precision)) == "precision");
  std::set<std::string> names;
  using enum Role;
  for (auto role : {mixer, position, mask, channel, norm, scaling, precision}) names.insert(name(role));
  CHECK(names.size() == 7);
}
