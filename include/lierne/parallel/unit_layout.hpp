// SPDX-License-Identifier: Apache-2.0
// How the parameters of a unit lie in the flat buffers of its collectives.
#pragma once

#include "lierne/nn/unit.hpp"

namespace lierne::detail {

/// Each parameter is cut along dimension 0 into `ranks` parts of ⌈n / ranks⌉ rows, the last ones shorter or empty. In a
/// buffer [ranks, part] every part is padded to the longest, so that all ranks send the same number of elements.
struct UnitLayout {
  struct Place {
    Shape whole;          ///< shape of the materialised parameter
    std::int64_t padded;  ///< elements of the longest part
    ReadAs read_as;
  };
  std::vector<Place> places;
  int ranks = 1;

  UnitLayout(Unit const& unit, int shard_ranks, int tensor_ranks) : ranks(shard_ranks) {
    for (auto const* p : unit.parameters) {
      auto whole = p->shape;
      if (p->tensor_dim != Parameter::whole) whole[static_cast<std::size_t>(p->tensor_dim)] /= tensor_ranks;
      auto const rows = (whole[0] + ranks - 1) / ranks;
      auto const row = whole[0] == 0 ? 0 : elements(whole) / whole[0];
      places.push_back({.whole = whole, .padded = rows * row, .read_as = p->read_as});
    }
  }

  /// Elements of one rank's part of the buffer for the places that `takes(place)` selects.
  template <class Takes>
  std::int64_t part(Takes takes) const {
    std::int64_t n = 0;
    for (auto const& place : places) n += takes(place) ? place.padded : 0;
    return n;
  }
  /// Calls `visit(index, place, column)` for each selected place with its first column in the buffer.
  template <class Takes, class Visit>
  void for_each(Takes takes, Visit visit) const {
    std::int64_t column = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (!takes(places[i])) continue;
      visit(i, places[i], column);
      column += places[i].padded;
    }
  }
};

}  // namespace lierne::detail
