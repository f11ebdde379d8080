// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/stage.hpp"

#include <doctest/doctest.h>

#include <concepts>
#include <string>
#include <vector>

#include "lierne/data/pack.hpp"
#include "lierne/data/shuffle.hpp"
#include "sample.hpp"

using namespace lierne;

using Recipe = decltype(pack(4) | shuffle(1));
static_assert(DataStage<Recipe> && PipeNode<Recipe>);
static_assert(std::same_as<decltype(std::declval<Text>() | std::declval<Recipe>()), Shuffled<Packed>>);
static_assert(!DataStage<int> && !DataStage<Text>);

namespace {

/// A stage of a user's own: each window backwards.
struct Reverse {
  using pipe_role = DataRole;
  template <WindowSource Source>
  struct Reversed : Source {
    explicit Reversed(Source source) : Source{std::move(source)} {}
    void read(std::int64_t epoch, std::int64_t index, std::span<TokenId> out) {
      Source::read(epoch, index, out);
      std::ranges::reverse(out);
    }
  };
  template <WindowSource Source>
  auto operator()(Source source) const {
    return Reversed<Source>{std::move(source)};
  }
};

Text sample_text() {
  std::vector<std::string> const documents{sample::letters(60)};
  return {sample::byte_tokenizer(), documents};
}

}  // namespace

TEST_CASE("a pipe is the same however it is grouped, and stages are functions, too") {
  auto const text = sample_text();
  auto a = text | pack(4) | shuffle(9);
  auto b = text | (pack(4) | shuffle(9));
  auto c = shuffle(9)(pack(4)(text));
  std::vector<TokenId> x(5), y(5), z(5);
  for (std::int64_t i = 0; i < a.size(); ++i) {
    a.read(2, i, x), b.read(2, i, y), c.read(2, i, z);
    REQUIRE(x == y);
    REQUIRE(x == z);
  }
  CHECK(a.fingerprint() == b.fingerprint());
}

TEST_CASE("a stage of a user's own joins in") {
  auto plain = sample_text() | pack(4);
  auto reversed = sample_text() | pack(4) | Reverse{};
  static_assert(WindowSource<decltype(reversed)>);
  std::vector<TokenId> x(5), y(5);
  plain.read(0, 3, x), reversed.read(0, 3, y);
  std::ranges::reverse(x);
  CHECK(x == y);
}
