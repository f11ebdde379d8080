// SPDX-License-Identifier: Apache-2.0
#include "lierne/mesh/placement.hpp"

#include <doctest/doctest.h>

#include <concepts>

using namespace lierne;

namespace {

struct Plain {};
struct Summand {
  using output = Partial;
};
struct Cut {
  using output = Sharded<2>;
};

template <class Layer>
using Output = typename LayerPlacement<Layer>::output;

}  // namespace

static_assert(Sharded<2>::dim == 2);
static_assert(std::same_as<Output<Plain>, Replicated>);
static_assert(std::same_as<Output<Summand>, Partial>);
static_assert(std::same_as<Output<Cut>, Sharded<2>>);
static_assert(sizeof(Placed<Partial>) == sizeof(Tensor));

TEST_CASE("a placed tensor is the local tensor") {
  auto const x = at::ones({2, 3});
  Placed<Sharded<1>> const placed{x};
  CHECK(placed.local.is_same(x));
}
