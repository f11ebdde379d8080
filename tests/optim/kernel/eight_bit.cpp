// SPDX-License-Identifier: Apache-2.0
#include "lierne/optim/kernel/eight_bit.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <vector>

using namespace lierne;

static_assert(signed_map.values[127] == 0 && signed_map.values[255] == 1 && unsigned_map.values[0] == 0 && unsigned_map.values[255] == 1);
static_assert(signed_map.code(0) == 127 && unsigned_map.code(0) == 0 && signed_map.code(1) == 255 && signed_map.code(-1) == 0);
static_assert(unsigned_map.code(-0.5f) == 0 && unsigned_map.code(1e-30f) == 1 && signed_map.code(1e-30f) == 127);

namespace {

// The dynamic map of the paper as a list: for every number of zeros behind the point, the middles of evenly spaced bounds.
std::vector<double> published(bool with_sign) {
  std::vector<double> values{0, 1};
  for (int zeros = 6; zeros >= 0; --zeros) {
    int const bits = 6 - zeros + (with_sign ? 0 : 1);  // left for the fraction
    int const bounds = (1 << bits) + 1;
    auto const bound = [&](int i) { return 0.1 + 0.9 * i / (bounds - 1); };
    for (int i = 0; i + 1 < bounds; ++i) {
      double const value = (bound(i) + bound(i + 1)) / 2 * std::pow(10.0, -zeros);
      values.push_back(value);
      if (with_sign) values.push_back(-value);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

int nearest(std::vector<double> const& values, double x) {
  int best = 0;
  for (int i = 1; i < 256; ++i) {
    if (std::abs(values[static_cast<std::size_t>(i)] - x) < std::abs(values[static_cast<std::size_t>(best)] - x)) best = i;
  }
  return best;
}

// Over seven decades, a twentieth of them zero.
std::vector<float> numbers(std::int64_t size, bool with_sign, double scale) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < size; ++i) {
    double const t = std::sin(12.9898 * static_cast<double>(i) + 4.1), u = std::sin(78.233 * static_cast<double>(i) + 1.3);
    double const value = i % 20 == 7 ? 0 : scale * u * std::pow(10.0, 3.5 * (t - 1));
    values.push_back(static_cast<float>(with_sign ? value : std::abs(value)));
  }
  return values;
}

}  // namespace

TEST_CASE("the maps are the published ones") {
  for (auto const* map : {&signed_map, &unsigned_map}) {
    auto const expected = published(map->zero != 0);
    REQUIRE(expected.size() == 256);
    for (std::size_t i = 0; i < 256; ++i) CHECK(std::abs(map->values[i] - expected[i]) <= 1e-7 * std::abs(expected[i]));
    for (std::size_t i = 1; i < 256; ++i) CHECK(map->values[i] > map->values[i - 1]);
  }
}

TEST_CASE("a number takes the nearest code, and a positive one never that of zero in the map without sign") {
  for (auto const* map : {&signed_map, &unsigned_map}) {
    bool const with_sign = map->zero != 0;
    auto const values = published(with_sign);
    for (std::int64_t const size : {256, 255, 9, 8, 3, 1}) {
      for (double const scale : {1.0, 3e-12, 7e20}) {
        auto const x = numbers(size, with_sign, scale);
        std::vector<std::uint8_t> codes(x.size());
        std::vector<float> back(x.size());
        float const absmax = encode_eight_bit(*map, x.data(), codes.data(), size);
        decode_eight_bit(*map, codes.data(), absmax, back.data(), size);
        float largest = 0;
        for (float const value : x) largest = std::max(largest, std::abs(value));
        REQUIRE(absmax == largest);
        for (std::size_t i = 0; i < x.size() && absmax > 0; ++i) {
          CAPTURE(x[i]);
          REQUIRE(codes[i] == map->code(x[i] / absmax));
          REQUIRE(back[i] == map->values[codes[i]] * absmax);
          double const u = static_cast<double>(x[i]) / absmax;
          auto const expected = nearest(values, u);
          if (!with_sign && expected == 0 && x[i] > 0) {
            REQUIRE(codes[i] == 1);
          } else if (codes[i] != expected) {  // in the middle between two
            double const middle = (values[codes[i]] + values[static_cast<std::size_t>(expected)]) / 2;
            REQUIRE(std::abs(u - middle) <= 3e-7 * std::abs(u));
          }
        }
      }
    }
  }
}

TEST_CASE("codes are monotone, their numbers keep them, and the error is half a bin") {
  for (auto const* map : {&signed_map, &unsigned_map}) {
    bool const with_sign = map->zero != 0;
    for (int c = 0; c < 256; ++c) CHECK(map->code(map->values[c]) == c);
    int before = 0;
    double largest_error = 0, largest_share = 0;
    for (std::int64_t i = with_sign ? -2000000 : 0; i <= 2000000; ++i) {
      double const u = static_cast<double>(i) / 2000000;
      int const code = map->code(static_cast<float>(u));
      REQUIRE(code >= before);
      before = code;
      double const error = std::abs(map->values[code] - u);
      largest_error = std::max(largest_error, error);
      if (std::abs(u) >= 0.1) largest_share = std::max(largest_share, error / std::abs(u));
    }
    CHECK(largest_error <= (with_sign ? 0.9 / 64 / 2 : 0.9 / 128 / 2) * (1 + 1e-5));  // of the uppermost decade
    CHECK(largest_share <= (with_sign ? 0.071 : 0.036));
  }
}

TEST_CASE("blocks of zeros, of subnormal numbers, and with what is not finite") {
  for (auto const* map : {&signed_map, &unsigned_map}) {
    std::vector<float> x(40, 0.0f), back(40, 5.0f);
    std::vector<std::uint8_t> codes(40, 9);
    x[3] = -0.0f;
    CHECK(encode_eight_bit(*map, x.data(), codes.data(), 40) == 0);
    decode_eight_bit(*map, codes.data(), 0, back.data(), 40);
    for (float const value : back) CHECK(value == 0);
    x[5] = 0x1p-149f;
    float const tiny = encode_eight_bit(*map, x.data(), codes.data(), 40);
    decode_eight_bit(*map, codes.data(), tiny, back.data(), 40);
    CHECK((back[5] == 0x1p-149f && back[4] == 0));
    for (float const broken : {std::numeric_limits<float>::infinity(), -std::nanf("")}) {
      for (std::size_t const place : {0, 17, 39}) {
        std::fill(x.begin(), x.end(), 1.0f);
        x[place] = broken;
        float const absmax = encode_eight_bit(*map, x.data(), codes.data(), 40);
        CHECK(std::isnan(absmax));
        decode_eight_bit(*map, codes.data(), absmax, back.data(), 40);
        for (float const value : back) CHECK(std::isnan(value));
      }
    }
  }
}
