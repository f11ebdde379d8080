// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/row.hpp"

#include <doctest/doctest.h>

#include <array>

#include "lierne/core/error.hpp"

using namespace lierne;
using Parts = std::vector<std::pair<std::string, std::string>>;

namespace {

Row example() {
  return {.key = "00ff00ff00ff00ff",
          .settings = {{"position", "rope \"10000\"", false}, {"rate", "0.001", true}},
          .spec = "decoder", .rule = "adamw é\n", .rate = 0.1, .seed = 18446744073709551615U, .data = 3, .steps = 20,
          .diverged_at = 0, .loss = 1.0 / 3, .validation_loss = 2.5, .bits_per_byte = 1e-9, .seconds = 4.25,
          .curve = {{1, 8.25}, {2.5, 1.0 / 7}}, .measured = {{"l2_norm/update/global", 1.0 / 9}}};
}

}  // namespace

TEST_CASE("a key is the hash of its names and values, the same on every machine") {
  // Computed by another program from the definition.
  CHECK(row_key(Parts{{"spec", "decoder 1x2"}, {"seed", "7"}}) == "6a4f194a392e13c6");
}

TEST_CASE("lists that differ anywhere have different keys") {
  std::vector<Parts> const lists{{{"a", "b"}, {"c", "d"}}, {{"a", "b"}, {"c", "e"}}, {{"c", "d"}, {"a", "b"}},
                                 {{"a", "b;1:c=1:d"}}, {{"ab", ""}, {"c", "d"}}, {{"a", "bc"}, {"", "d"}}, {}};
  for (std::size_t i = 0; i < lists.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK(row_key(lists[i]) != row_key(lists[j]));
  }
}

TEST_CASE("a row survives its line of JSON, to the last bit") {
  auto const row = example();
  auto const line = to_json(row);
  CHECK(line.find('\n') == std::string::npos);
  auto const read = row_from_json(line, "here");
  CHECK(to_json(read) == line);
  CHECK(read.key == row.key);
  CHECK((read.settings == row.settings));
  CHECK(read.rule == row.rule);
  CHECK(read.seed == row.seed);
  CHECK(read.loss == row.loss);
  CHECK((read.curve == row.curve));
  CHECK((read.measured == row.measured));
}

TEST_CASE("a row that diverged has no validation, and says at which step") {
  auto row = example();
  row.diverged_at = 17;
  row.validation_loss = row.bits_per_byte = std::numeric_limits<double>::quiet_NaN();
  row.curve[1].loss = std::numeric_limits<double>::infinity();
  auto const read = row_from_json(to_json(row), "here");
  CHECK(read.diverged_at == 17);
  CHECK(std::isnan(read.validation_loss));
  CHECK(std::isnan(read.curve[1].loss));
}

TEST_CASE("a thinned curve holds the means of equal stretches") {
  std::array const losses{8.0, 6.0, 5.0, 3.0, 2.0};
  CHECK((thinned(losses) == std::vector<CurvePoint>{{1, 8}, {2, 6}, {3, 5}, {4, 3}, {5, 2}}));
  CHECK((thinned(losses, 2) == std::vector<CurvePoint>{{1.5, 7}, {4, 10.0 / 3}}));
  CHECK(thinned({}).empty());
  std::vector<double> const many(10'001, 1.5);
  CHECK(thinned(many).size() == 200);
  CHECK(thinned(many).back().loss == 1.5);
}

TEST_CASE("this program has one identity") {
  CHECK(binary_id().size() == 16);
  CHECK(binary_id() == binary_id());
}

TEST_CASE("a line that is no row says where it stands") {
  CHECK_THROWS_WITH_AS(row_from_json("{\"key\": 3", "r.jsonl:7"), doctest::Contains("r.jsonl:7: expected a row"), FileError);
  CHECK_THROWS_WITH_AS(row_from_json("{}", "r.jsonl:7"), doctest::Contains("r.jsonl:7: expected a row"), FileError);
  auto line = to_json(example());
  line.replace(line.find("\"step\":[1.0,2.5]"), 16, "\"step\":[1.0]");
  CHECK_THROWS_WITH_AS(row_from_json(line, "r"), doctest::Contains("found 2 and 1"), FileError);
}
