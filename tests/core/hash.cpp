// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/hash.hpp"

#include <doctest/doctest.h>

#include <string>

using lierne::hash;

// The test vectors published with FNV-1a.
static_assert(hash("") == 0xcbf29ce484222325U);
static_assert(hash("a") == 0xaf63dc4c8601ec8cU);
static_assert(hash("foobar") == 0x85944171f73967e8U);

TEST_CASE("hash goes on from a start value as if the texts were one") {
  CHECK(hash("bar", hash("foo")) == hash("foobar"));
  CHECK(hash("", hash("foo")) == hash("foo"));
}

TEST_CASE("hash takes bytes above 127 and NUL as bytes") {
  std::string const text{"\xff\0\x80", 3};
  std::uint64_t h = 0xcbf29ce484222325U;
  for (unsigned byte : {0xffU, 0x00U, 0x80U}) h = (h ^ byte) * 1099511628211U;
  CHECK(hash(text) == h);
}
