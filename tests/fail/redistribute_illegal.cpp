// SPDX-License-Identifier: Apache-2.0
// expect: static assertion failed: redistribute: the pair of placements must have a collective \(see its table; a Sharded tensor changes its dimension by way of Replicated\)
#include "lierne/mesh/redistribute.hpp"

using namespace lierne;

#ifdef FIXED
Tensor by_way_of_replicated(Tensor const& x, Group const& group) {
  auto const whole = redistribute<Replicated>(Placed<Sharded<1>>{x}, group);
  return redistribute<Sharded<2>>(whole, group).local;
}
#else
Tensor at_once(Tensor const& x, Group const& group) {
  return redistribute<Sharded<2>>(Placed<Sharded<1>>{x}, group).local;
}
#endif
