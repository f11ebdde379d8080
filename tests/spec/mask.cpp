// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/mask.hpp"

#include <doctest/doctest.h>

#include "lierne/spec/block.hpp"
#include "lierne/spec/name.hpp"

using namespace lierne;

static_assert(Fills<Causal, Role::mask> && Fills<FixedBlock, Role::mask> && Fills<SlidingWindow, Role::mask>);
static_assert(Fills<Documents, Role::mask> && Fills<Both<FixedBlock, Documents>, Role::mask>);
static_assert(Causal{} == Causal{} && FixedBlock{.size = 4} != FixedBlock{.size = 5});
static_assert(SlidingWindow{.size = 4} != SlidingWindow{.size = 5} && Documents{.end = 4} != Documents{.end = 5});

// A conjunction is a record of both; Causal is its neutral element.
constexpr auto joined = FixedBlock{.size = 16} & Documents{.end = 5};
static_assert(std::same_as<decltype(joined), Both<FixedBlock, Documents> const>);
static_assert(joined.first.size == 16 && joined.second.end == 5);
static_assert(joined == (FixedBlock{.size = 16} & Documents{.end = 5}) && joined != (FixedBlock{.size = 8} & Documents{.end = 5}));
static_assert((Causal{} & Documents{.end = 5}) == Documents{.end = 5} && (joined & Causal{}) == joined);
static_assert((Causal{} & Causal{}) == Causal{});
static_assert((joined & SlidingWindow{.size = 8}).second.size == 8);

// In a record.
constexpr Decoder llama4{
    .layers = 4, .width = 64, .vocab = 128, .mask = every<4>(Causal{} & Documents{.end = 5}, FixedBlock{.size = 16} & Documents{.end = 5})};
static_assert(block_at<0>(llama4).mask == joined && block_at<3>(llama4).mask == Documents{.end = 5});
static_assert(block_period(llama4) == 4);

// One of one's own, in a namespace of its own and without a name.
namespace mine {
struct Mask {
  static constexpr auto role = Role::mask;
  int stride = 2;
  friend constexpr bool operator==(Mask const&, Mask const&) = default;
};
}  // namespace mine
static_assert((mine::Mask{.stride = 3} & Documents{.end = 1}).first.stride == 3);
static_assert((Documents{.end = 1} & mine::Mask{}).second == mine::Mask{});

TEST_CASE("masks are named by what they let be seen, with every number") {
  CHECK(Causal{}.name() == "causal");
  CHECK(FixedBlock{.size = 256}.name() == "fixed block 256");
  CHECK(SlidingWindow{.size = 128}.name() == "window 128");
  CHECK(Documents{.end = 5}.name() == "documents by 5");
  CHECK((joined & SlidingWindow{.size = 9}).name() == "fixed block 16 & documents by 5 & window 9");
  CHECK(name(llama4).find("every<4>(documents by 5, fixed block 16 & documents by 5)") != std::string::npos);
}

TEST_CASE("a conjunction with a nameless mask has no name of its own") {
  CHECK(name(Decoder{.mask = mine::Mask{} & Documents{.end = 1}}).find("own mask") != std::string::npos);
}
