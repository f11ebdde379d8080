// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/bf16.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ATen.h>

#include "lierne/optim/kernel/rounding_bits.hpp"

using namespace lierne;

static_assert(from_bf16(0x3f80) == 1 && to_bf16(1.0f) == 0x3f80 && to_bf16(-2.5f) == 0xc020);
static_assert(to_bf16(1 + 0x1p-8f) == 0x3f80 && to_bf16(1 + 3 * 0x1p-8f) == 0x3f82);  // halves to even
static_assert(to_bf16(1 + 0x1p-8f, 0x7fff) == 0x3f80 && to_bf16(1 + 0x1p-8f, 0x8000) == 0x3f81);

namespace {

float const infinity = std::numeric_limits<float>::infinity();
float const nan_of_low_bits = std::bit_cast<float>(0x7f800001);
float const nan_of_all_bits = std::bit_cast<float>(0xffffffff);

// Numbers of all magnitudes, and every odd case. Not a multiple of eight of them.
std::vector<float> numbers() {
  std::vector<float> values{0.0f, -0.0f, infinity, -infinity, nan_of_low_bits, nan_of_all_bits, 0x1p-149f, -0x1.fp-130f,
                            std::numeric_limits<float>::max(), -0x1.fffp127f, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f};
  for (std::uint32_t i = 0; i < 3001; ++i) values.push_back(std::bit_cast<float>(i * 1431655U));
  return values;
}

bool same(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

// The two bfloat16 around a number by arithmetic on its parts, and where between them it lies, in 2^-16.
struct Around {
  double low, high, share;
};
Around around(double x) {
  int exponent = 0;
  std::frexp(x, &exponent);
  double const unit = std::ldexp(1.0, std::max(exponent, -125) - 8);
  double const low = std::trunc(x / unit) * unit;
  return {low, low + std::copysign(unit, x), std::abs(x - low) / unit * 65536};
}

}  // namespace

TEST_CASE("to the nearest as LibTorch rounds, in arrays of any length") {
  auto const values = numbers();
  auto const size = static_cast<std::int64_t>(values.size());
  auto const expected = at::tensor(values).to(at::kBFloat16);
  auto const* const bits = static_cast<Bf16 const*>(expected.const_data_ptr());
  std::vector<Bf16> got(values.size());
  std::vector<float> back(values.size());
  encode_bf16(values.data(), got.data(), size);
  decode_bf16(got.data(), back.data(), size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(values[i]);
    if (std::isnan(values[i])) {
      CHECK((got[i] == 0x7fc0 && to_bf16(values[i]) == 0x7fc0 && std::isnan(back[i])));
      continue;
    }
    REQUIRE(got[i] == bits[i]);
    REQUIRE(to_bf16(values[i]) == bits[i]);
    REQUIRE(same(back[i], from_bf16(bits[i])));
  }
}

TEST_CASE("stochastically to one of the two around it, by the bits") {
  auto const values = numbers();
  auto const size = static_cast<std::int64_t>(values.size());
  std::vector<std::uint32_t> random(values.size() + 64);
  RoundingBits::of(1, "w", 2).fill(0, static_cast<std::int64_t>(random.size()) / 64, random.data());
  std::vector<Bf16> got(values.size());
  encode_bf16(values.data(), random.data(), got.data(), size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(values[i]);
    REQUIRE(got[i] == to_bf16(values[i], random[i]));
    float const back = from_bf16(got[i]);
    if (!std::isfinite(values[i])) {
      CHECK((std::isnan(values[i]) ? std::isnan(back) : back == values[i]));
      continue;
    }
    auto const [low, high, share] = around(values[i]);
    double const expected = random[i] + share >= 65536 ? high : low;
    REQUIRE(static_cast<double>(back) == (std::abs(expected) > 3.4e38 ? std::copysign(infinity, expected) : expected));
  }
}

TEST_CASE("what bfloat16 holds stays, whatever the bits") {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    float const value = from_bf16(static_cast<Bf16>(bits));
    if (std::isnan(value)) continue;
    for (std::uint32_t const random : {0U, 1U, 0x8000U, 0xffffU}) REQUIRE(to_bf16(value, random) == bits);
    REQUIRE(to_bf16(value) == bits);
  }
}

TEST_CASE("the mean of stochastic rounding is the number, within four deviations") {
  auto const size = std::int64_t{1} << 20;
  std::vector<std::uint32_t> random(static_cast<std::size_t>(size));
  std::vector<Bf16> got(random.size());
  int call = 0;
  for (float const value : {1.0001f, 1.003f, -0.7123f, 3.14159e-20f, 255.999f, -1e30f, 1 + 0x1p-23f}) {
    CAPTURE(value);
    RoundingBits::of(0, "w.exp_avg", call++).fill(0, size / 64, random.data());
    std::vector<float> const values(random.size(), value);
    encode_bf16(values.data(), random.data(), got.data(), size);
    auto const [low, high, share] = around(value);
    double ups = 0;
    for (auto const bits : got) {
      REQUIRE((from_bf16(bits) == low || from_bf16(bits) == high));
      ups += from_bf16(bits) == high;
    }
    double const p = share / 65536;
    CHECK(std::abs(ups - p * static_cast<double>(size)) <= 4 * std::sqrt(p * (1 - p) * static_cast<double>(size)));
  }
}

TEST_CASE("rounding is monotone") {
  for (std::uint32_t const random : {0U, 0x1234U, 0xffffU}) {
    float before = -infinity, before_nearest = -infinity;
    for (double x = -3; x < 3; x += 0x1p-11) {
      float const after = from_bf16(to_bf16(static_cast<float>(x < 0 ? x * x * -x * -1 : x * x * x), random));
      float const nearest = from_bf16(to_bf16(static_cast<float>(x < 0 ? x * x * -x * -1 : x * x * x)));
      REQUIRE(after >= before);
      REQUIRE(nearest >= before_nearest);
      before = after;
      before_nearest = nearest;
    }
  }
}

TEST_CASE("a pair holds 17 bits, and numbers that are not finite") {
  auto const values = numbers();
  auto const size = static_cast<std::int64_t>(values.size());
  std::vector<Bf16> weight(values.size()), rest(values.size());
  std::vector<float> back(values.size());
  encode_pairs(values.data(), weight.data(), rest.data(), size);
  decode_pairs(weight.data(), rest.data(), back.data(), size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    CAPTURE(values[i]);
    auto const pair = Bf16Pair::of(values[i]);
    REQUIRE((pair.weight == weight[i] && pair.rest == rest[i]));
    REQUIRE(weight[i] == to_bf16(values[i]));
    float const largest = from_bf16(0x7f7f);
    if (std::isnan(values[i])) {
      CHECK(std::isnan(back[i]));
    } else if (std::abs(values[i]) > largest + 0x1p119f) {
      CHECK((rest[i] == 0 && std::isinf(back[i])));
    } else if (std::abs(values[i]) > 0x1p-110f) {
      REQUIRE(std::abs(static_cast<double>(back[i]) - values[i]) <= 0x1p-17 * std::abs(static_cast<double>(values[i])));
    }
  }
}
