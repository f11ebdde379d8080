// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/precision.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace lierne;

static_assert(Fills<Float32, Role::precision> && Fills<Float64, Role::precision> && Fills<BFloat16, Role::precision>);
static_assert(Float32::master == Float::float32 && Float32::compute == Float::float32);
static_assert(Float64::master == Float::float64 && Float64::compute == Float::float64);
static_assert(BFloat16::master == Float::float32 && BFloat16::compute == Float::bfloat16);
static_assert(bytes_of(Float::bfloat16) == 2 && bytes_of(Float::float32) == sizeof(float) &&
              bytes_of(Float::float64) == sizeof(double));

// Fp8 is bfloat16 but for the products of linear layers; its list is part of the record.
static_assert(Fills<Fp8, Role::precision> && Fp8::master == BFloat16::master && Fp8::compute == BFloat16::compute);
static_assert(Fp8{}.excluded == names("output") && Fp8{.excluded = names()} != Fp8{});

TEST_CASE("every pair of formats has a name of its own") {
  CHECK(Float32{}.name() == "float32");
  CHECK(Float64{}.name() == "float64");
  CHECK(BFloat16{}.name() == "bfloat16");
  using enum Float;
  std::set<std::string> const names{
      Float32{}.name(),
      Float64{}.name(),
      BFloat16{}.name(),
      Precision<bfloat16, bfloat16>{}.name(),
      Precision<float64, bfloat16>{}.name(),
      Precision<float64, float32>{}.name(),
      Precision<bfloat16, float32>{}.name(),
      Precision<float32, float64>{}.name(),
      Precision<bfloat16, float64>{}.name(),
  };
  CHECK(names.size() == 9);
}

TEST_CASE("fp8 names what it leaves out") {
  CHECK(Fp8{}.name() == "fp8 but output");
  CHECK(Fp8{.excluded = names()}.name() == "fp8");
  CHECK(Fp8{.excluded = names("output", "feed_forward.w2")}.name() == "fp8 but output,feed_forward.w2");
}
