// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/summary.hpp"

#include <doctest/doctest.h>

#include "lierne/core/error.hpp"

using namespace lierne;
using doctest::Approx;

namespace {

/// Rows of one candidate: seeds 1, 2, ... with these bits per byte; a negative one diverged at that step.
void add(std::vector<Row>& rows, std::string const& position, std::string const& rule, double rate,
         std::vector<double> const& bits) {
  for (std::size_t i = 0; i < bits.size(); ++i) {
    Row row{.settings = {{"position", position}, {"rule", rule}, {"rate", number(rate), true}}, .rate = rate, .seed = i + 1};
    if (bits[i] < 0) {
      row.diverged_at = static_cast<std::int64_t>(-bits[i]);
    } else {
      row.bits_per_byte = bits[i];
    }
    rows.push_back(row);
  }
}

std::vector<Row> example() {
  std::vector<Row> rows;
  add(rows, "rope", "adamw", 1e-3, {2.0, 2.2, 2.4});
  add(rows, "rope", "adamw", 2e-3, {1.0, -9, 1.0});
  add(rows, "rope", "adopt", 1e-3, {1.9, 2.0, 2.3});
  add(rows, "nope", "adamw", 1e-3, {3.0, 3.2, 3.4});
  add(rows, "nope", "lion", 1e-3, {-5, 1.0, -3});
  return rows;
}

}  // namespace

TEST_CASE("variants are sorted by their best candidate, and those that diverged come last") {
  auto const summary = summarise(example());
  REQUIRE(summary.variants.size() == 4);
  CHECK(summary.variants[0].label == "rope, adopt");
  CHECK(summary.variants[1].label == "rope, adamw");
  CHECK(summary.variants[2].label == "nope, adamw");
  CHECK(summary.variants[3].label == "nope, lion");

  auto const& adamw = summary.variants[1];
  REQUIRE(adamw.candidates.size() == 2);
  // The other rate is better where it is finite, but it diverged for a seed.
  CHECK(adamw.chosen().rate == 1e-3);
  CHECK(adamw.chosen().bits_per_byte.mean == Approx(2.2));
  CHECK(adamw.candidates[1].diverged == 1);
  CHECK(adamw.candidates[1].diverged_at == 9);
  CHECK(adamw.candidates[1].bits_per_byte.count == 2);
  CHECK(summary.variants[3].chosen().diverged == 2);
  CHECK(summary.variants[3].chosen().diverged_at == 3);
}

TEST_CASE("each variant is tested against the one with the baseline's value and else its settings") {
  auto const rows = example();
  auto const by_rule = summarise(rows, "adamw");
  // By hand: differences -0.1, -0.2, -0.1.
  CHECK(by_rule.variants[0].against.difference.mean == Approx(-0.4 / 3));
  CHECK(by_rule.variants[0].against.t == Approx(-4.0));
  CHECK(by_rule.variants[1].baseline);
  CHECK(by_rule.variants[2].baseline);  // of the variants without positions
  // One seed alone did not diverge: a difference, but no test.
  CHECK(by_rule.variants[3].against.difference.mean == Approx(-2.2));
  CHECK(std::isnan(by_rule.variants[3].against.p));

  auto const by_label = summarise(rows, "rope, adamw");
  CHECK(by_label.variants[2].against.difference.mean == Approx(1.0));
  CHECK(by_label.variants[1].baseline);
  CHECK_FALSE(by_label.variants[2].baseline);

  auto const by_default = summarise(rows);  // rope
  CHECK(by_default.variants[2].against.difference.mean == Approx(1.0));
  CHECK(std::isnan(by_default.variants[3].against.difference.mean));  // rope, lion was not run
}

TEST_CASE("the order of the rows does not change what is found") {
  auto rows = example();
  auto const text = to_text(summarise(rows, "adamw"));
  std::reverse(rows.begin(), rows.end());
  CHECK(to_text(summarise(rows, "adamw")) == text);
}

TEST_CASE("the table marks what diverged and leaves out columns without words") {
  auto const text = to_text(summarise(example(), "adamw"));
  CHECK(text.find("2 of 3 diverged, first at step 3") != std::string::npos);
  CHECK(text.find("2.2000 ± 0.1155") != std::string::npos);
  CHECK(text.find("baseline") != std::string::npos);
  CHECK(text.find("position") < text.find("rule"));
  std::vector<Row> one;
  add(one, "rope", "adamw", 1e-3, {2.0});
  auto const alone = to_text(summarise(one));
  CHECK(alone.find("2.0000") != std::string::npos);
  CHECK(alone.find("±") == std::string::npos);
  CHECK(alone.find("diverged") == std::string::npos);
  CHECK(summarise({}).variants.empty());
}

TEST_CASE("a baseline that is not there is an error that names what is") {
  CHECK_THROWS_WITH_AS(summarise(example(), "sgd"),
                       doctest::Contains("found 'sgd' (there are 'rope, adamw', 'rope, adopt', 'nope, adamw'"), ArgumentError);
}
