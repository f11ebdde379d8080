// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/error.hpp"

#include <doctest/doctest.h>

#include <locale>
#include <string>
#include <string_view>
#include <type_traits>

using namespace lierne;

// One handler of Error sees every cause; no cause is another's.
template <class E>
concept Cause = std::is_base_of_v<Error, E> && std::is_base_of_v<std::runtime_error, E>;
static_assert(Cause<ArgumentError> && Cause<ShapeError> && Cause<FileError>);
static_assert(Cause<NumericError> && Cause<LaunchError>);
static_assert(!std::is_base_of_v<FileError, ShapeError> && !std::is_base_of_v<ShapeError, FileError>);

template <class... Parts>
concept CanCheck = requires(Parts... parts) { check(true, parts...); };
static_assert(CanCheck<char const*> && !CanCheck<>, "a check without words would throw without saying what was wrong");

TEST_CASE("message joins its parts in order") {
  CHECK(message("expected ", 4, " files, found ", std::string("none"), '.', -1L) == "expected 4 files, found none.-1");
  CHECK(message("") == "");
  CHECK(message(0.1, ' ', 0.1F, ' ', 1e-5, ' ', 3.0) == "0.1 0.1 1e-05 3");
  CHECK(message(true, std::string_view(" or "), false) == "true or false");
}

TEST_CASE("check throws the given type with the joined message") {
  try {
    check<FileError>(false, "a.bin: expected ", 8, " bytes, found ", 7);
    FAIL("nothing was thrown");
  } catch (FileError const& error) {
    CHECK(std::string(error.what()) == "a.bin: expected 8 bytes, found 7");
  }
  CHECK_THROWS_AS(check(false, "x"), ArgumentError);
  CHECK_THROWS_WITH_AS(check<ShapeError>(1 > 2, "shape"), "shape", Error);
}

namespace {
// Counts how often it is printed.
struct Loud {
  int* printed;
  friend std::string to_string(Loud const& loud) {
    ++*loud.printed;
    return "loud";
  }
};
}  // namespace

TEST_CASE("check builds no message while it holds") {
  int printed = 0;
  CHECK_NOTHROW(check(true, Loud{&printed}));
  CHECK(printed == 0);
  CHECK_THROWS_AS(check(false, Loud{&printed}), ArgumentError);
  CHECK(printed == 1);
}

TEST_CASE("messages do not follow the locale of the host program") {
  struct Grouped : std::numpunct<char> {
    char do_thousands_sep() const override { return ','; }
    std::string do_grouping() const override { return "\3"; }
  };
  auto const before = std::locale::global(std::locale(std::locale::classic(), new Grouped));
  CHECK(message(1234567) == "1234567");
  std::locale::global(before);
}
