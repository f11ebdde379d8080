// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/phases.hpp"

#include <doctest/doctest.h>

#include "lierne/optim/optim.hpp"

using namespace lierne;

namespace {

template <class Rule>
std::vector<RulePhase> phases_of(Rule const&) {
  return make_phases<Applied<Rule>>();
}

}  // namespace

TEST_CASE("a rule is cut at its stages of whole tensors") {
  auto const phases = phases_of(clip_norm(1) | muon() | decay(0.1, times_rate));
  REQUIRE(phases.size() == 4);  // clip and momentum, orthogonalise, scale, decay and apply
  CHECK((phases[0].pass && !phases[1].pass && !phases[2].pass && phases[3].pass));
  CHECK((!phases[0].loads_direction && phases[0].stores_direction && phases[0].stores_gradient));
  CHECK((phases[3].loads_direction && !phases[3].stores_direction && !phases[3].stores_gradient));
  CHECK(phases[0].field_count == 1);
  CHECK(phases[0].pass->fields().size() == 3);  // the buffer, direction and gradient to store
  CHECK(phases[3].first_number == 3);
  CHECK(phases[3].pass->number_count() == 2);
  CHECK(phases[3].first_field == 1);
}

TEST_CASE("what changes the direction alone stores no gradient") {
  auto const phases = phases_of(muon());
  CHECK_FALSE(phases[0].stores_gradient);
  CHECK(phases[0].stores_direction);
}

TEST_CASE("a stage of whole tensors may come first, and a gate ends its phase") {
  auto const mars = phases_of(mars_adamw());
  REQUIRE(mars.size() == 2);
  CHECK((!mars[0].pass && mars[1].pass));
  CHECK((mars[0].field_count == 1 && mars[1].first_field == 1 && mars[1].field_count == 2));
  CHECK_FALSE(mars[1].loads_direction);
  auto const held = phases_of(recipe("c", 0.1, normalise_by_previous() | ClipElements<>{} | momentum() | cautious()));
  REQUIRE(held.size() == 3);
  CHECK(held[0].gates == std::vector<std::size_t>{0});
  CHECK(held[1].gates.empty());
  auto const soaps = phases_of(clip_norm(1) | soap());
  REQUIRE(soaps.size() == 3);
  CHECK(soaps[1].gates == std::vector<std::size_t>{soaps[1].first_number});
}
