// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/trigram.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "sample.hpp"

using namespace lierne;

namespace {

std::vector<TokenId> stream(std::size_t n, std::int64_t vocab, std::uint64_t seed) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < n; ++i) {
    // Each token leans on the one before it, so that histories say something.
    auto const u = Random{seed, 1}.uniform(i);
    auto const next = static_cast<std::int64_t>(u * u * static_cast<double>(vocab));
    tokens.push_back(static_cast<TokenId>(i ? (tokens.back() + next) % vocab : 0));
  }
  return tokens;
}

}  // namespace

TEST_CASE("probabilities are those of the definition, counted with maps") {
  std::int64_t const vocab = 30;
  auto const tokens = stream(60000, vocab, 1);
  Trigram const trigram{tokens, vocab};
  std::map<TokenId, double> c1, h1;
  std::map<std::pair<TokenId, TokenId>, double> c2, h2;
  std::map<std::tuple<TokenId, TokenId, TokenId>, double> c3;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    ++c1[tokens[i]];
    if (i > 0) ++c2[{tokens[i - 1], tokens[i]}], ++h1[tokens[i - 1]];
    if (i > 1) ++c3[{tokens[i - 2], tokens[i - 1], tokens[i]}], ++h2[{tokens[i - 2], tokens[i - 1]}];
  }
  for (TokenId u = 0; u < vocab; ++u)
    for (TokenId v = 0; v < vocab; ++v)
      for (TokenId w = 0; w < vocab; ++w) {
        double const one = (c1[w] + 1) / (60000.0 + 30), two = c2[{v, w}] / h1[v];
        auto const known = h2[{u, v}] > 0 ? 2U : 1U;
        auto const [a, b, d] = trigram.weights(known);
        double const three = known == 2 ? c3[{u, v, w}] / h2[{u, v}] : 0;
        REQUIRE(trigram.probability(u, v, w) == doctest::Approx(a * one + b * two + d * three).epsilon(1e-12));
      }
}

TEST_CASE("the probabilities of all tokens after any history sum to one") {
  std::int64_t const vocab = 50;
  auto tokens = stream(30000, vocab - 10, 2);  // the last ten tokens never occur
  Trigram const trigram{tokens, vocab};
  for (auto [u, v] : {std::pair<TokenId, TokenId>{-1, -1}, {-1, 3}, {3, 4}, {3, 45}, {45, 3}, {45, 46}, {0, 0}, {39, 1}}) {
    double sum = 0;
    for (TokenId w = 0; w < vocab; ++w) sum += trigram.probability(u, v, w);
    CHECK(sum == doctest::Approx(1).epsilon(1e-12));
  }
  for (std::size_t known = 0; known < 3; ++known) {
    auto const [a, b, d] = trigram.weights(known);
    CHECK(a + b + d == doctest::Approx(1).epsilon(1e-12));
    CHECK((known > 0 || (b == 0 && d == 0)));
    CHECK((known > 1 || d == 0));
  }
}

TEST_CASE("the weights are where the likelihood of the held blocks is highest") {
  std::int64_t const vocab = 40;
  auto const tokens = stream(80000, vocab, 3);
  auto const [a, b, d] = Trigram{tokens, vocab}.weights(2);
  // Counts of the blocks that are not held, and the held places, once more and by hand.
  std::map<std::pair<TokenId, TokenId>, double> c2, h2;
  std::map<std::tuple<TokenId, TokenId, TokenId>, double> c3;
  std::map<TokenId, double> c1, h1;
  double n = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i / 1024 % 20 == 19) continue;
    ++n, ++c1[tokens[i]];
    if (i > 0) ++c2[{tokens[i - 1], tokens[i]}], ++h1[tokens[i - 1]];
    if (i > 1) ++c3[{tokens[i - 2], tokens[i - 1], tokens[i]}], ++h2[{tokens[i - 2], tokens[i - 1]}];
  }
  auto const likelihood = [&](double x, double y, double z) {
    double sum = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i / 1024 % 20 != 19) continue;
      auto const u = tokens[i - 2], v = tokens[i - 1], w = tokens[i];
      if (h2[{u, v}] == 0) continue;
      sum += std::log(x * (c1[w] + 1) / (n + vocab) + y * c2[{v, w}] / h1[v] + z * c3[{u, v, w}] / h2[{u, v}]);
    }
    return sum;
  };
  double const best = likelihood(a, b, d);
  for (auto [x, y] : {std::pair{0.03, 0.0}, {0.0, 0.03}, {-0.03, 0.03}})
    for (double sign : {1.0, -1.0})
      if (a + sign * x > 0 && b + sign * y > 0 && d - sign * (x + y) > 0)
        CHECK(likelihood(a + sign * x, b + sign * y, d - sign * (x + y)) < best);
}

TEST_CASE("a text with nothing to find costs the entropy of its tokens") {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < 100000; ++i) tokens.push_back(static_cast<TokenId>(Random{8, 8}.below(i, 16)));
  std::vector<TokenId> held;
  for (std::size_t i = 0; i < 20000; ++i) held.push_back(static_cast<TokenId>(Random{9, 9}.below(i, 16)));
  CHECK(Trigram{tokens, 16}.bits(held) / 19999 == doctest::Approx(4).epsilon(0.005));
}

TEST_CASE("bits per byte of a text are bits over bytes of its held-out part") {
  std::vector<std::string> const documents{sample::letters(5000, 1), sample::letters(4000, 2)};
  Text const text{sample::byte_tokenizer(), documents, {.validation = 0.1}};
  CHECK(text.bytes(text.validation()) == 900);
  CHECK(trigram_bits_per_byte(text) == doctest::Approx(Trigram(text.train(), 258).bits(text.validation()) / 900));
  CHECK(trigram_bits_per_byte(text) > 3);
  CHECK(trigram_bits_per_byte(text) < 5.2);
}

TEST_CASE("short streams, one token and none") {
  std::vector<TokenId> const one{3};
  CHECK(Trigram{one, 4}.probability(-1, -1, 3) == doctest::Approx(2.0 / 5));
  CHECK(Trigram{{}, 4}.probability(1, 2, 3) == doctest::Approx(0.25));
  CHECK(Trigram{{}, 4}.bits(one) == 0);
}

TEST_CASE("tokens outside the vocabulary and a text without a held-out part are errors") {
  std::vector<TokenId> const tokens{0, 4};
  CHECK_THROWS_WITH_AS((Trigram{tokens, 4}), "trigram: expected ids in [0, 4), found 4", ArgumentError);
  CHECK_THROWS_WITH_AS((Trigram{tokens, 0}), "trigram: expected a vocabulary of 1 to 2^21 tokens, found 0", ArgumentError);
  std::vector<std::string> const documents{"abc"};
  CHECK_THROWS_AS(trigram_bits_per_byte(Text{sample::byte_tokenizer(), documents, {.validation = 0}}), ArgumentError);
}
