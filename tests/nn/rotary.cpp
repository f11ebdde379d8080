// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/rotary.hpp"

#include <cmath>
#include <vector>

#include "lierne/nn/kernel/rope.hpp"
#include "nn/alone.hpp"

using namespace lierne;

namespace {

constexpr double pi = 3.14159265358979323846;

/// The frequency of pair i, from the text of MODELS.md 3.1 in double.
double frequency(Rope const& rope, int size, int i) {
  double const plain = std::pow(rope.base, -2.0 * i / size);
  auto const& [factor, low, high, original] = rope.scaling;
  if (factor == 0) return plain;
  double const wavelength = 2 * pi / plain;
  if (wavelength > original / low) return plain / factor;
  if (wavelength < original / high) return plain;
  if (low == high) return plain;  // on the bound itself
  double const blend = (original / wavelength - low) / (high - low);
  return (1 - blend) * plain / factor + blend * plain;
}

double worst_frequency(Rope const& rope, int size, Dtype dtype) {
  auto const found = rotary_frequencies(rope, size, dtype);
  REQUIRE(found.sizes() == at::IntArrayRef({size / 2}));
  REQUIRE((found.scalar_type() == dtype));
  double worst = 0;
  for (int i = 0; i < size / 2; ++i) {
    double const expected = frequency(rope, size, i);
    worst = std::max(worst, std::abs(found[i].item<double>() - expected) / expected);
  }
  return worst;
}

/// x with the pairs (x[2i], x[2i+1]) turned, or with `half_split` the pairs (x[i], x[i + d/2]), by a loop in double.
Tensor naive(Tensor const& x, Rope const& rope, bool half_split = false) {
  int const size = static_cast<int>(x.size(3));
  auto out = at::zeros_like(x);
  auto const in = x.accessor<double, 4>();
  auto to = out.accessor<double, 4>();
  for (int b = 0; b < x.size(0); ++b) {
    for (int l = 0; l < x.size(1); ++l) {
      for (int n = 0; n < x.size(2); ++n) {
        for (int i = 0; i < size / 2; ++i) {
          int const even = half_split ? i : 2 * i, odd = half_split ? i + size / 2 : 2 * i + 1;
          double const angle = l * frequency(rope, size, i);
          to[b][l][n][even] = in[b][l][n][even] * std::cos(angle) - in[b][l][n][odd] * std::sin(angle);
          to[b][l][n][odd] = in[b][l][n][even] * std::sin(angle) + in[b][l][n][odd] * std::cos(angle);
        }
      }
    }
  }
  return out;
}

constexpr Rope plain{.base = 5e5};
constexpr Rope llama31{.base = 5e5, .scaling = llama31_scaling};
constexpr Rope fixture{.base = 5e5, .scaling = {.factor = 8, .low = 1, .high = 4, .original = 64}};
constexpr Rope scout{.base = 5e5, .scaling = {.factor = 16, .low = 1, .high = 1, .original = 8192}};

}  // namespace

TEST_CASE("frequencies equal the formula in double") {
  for (auto const& rope : {plain, Rope{}, llama31, fixture, scout}) {
    for (int const size : {2, 16, 64, 128}) {
      CAPTURE(rope.name());
      CAPTURE(size);
      CHECK(worst_frequency(rope, size, float64) <= 1e-14);
      CHECK(worst_frequency(rope, size, float32) <= 1e-6);
    }
  }
}

TEST_CASE("the scalings change what they should") {
  // Of Llama 3.1's 64 frequencies some are kept, some divided, some blended.
  int kept = 0, divided = 0, blended = 0;
  auto const scaled = rotary_frequencies(llama31, 128, float64), unscaled = rotary_frequencies(plain, 128, float64);
  for (int i = 0; i < 64; ++i) {
    double const ratio = scaled[i].item<double>() / unscaled[i].item<double>();
    kept += ratio == 1;
    divided += ratio == 1.0 / 8;
    blended += ratio != 1 && ratio != 1.0 / 8;
    CHECK(ratio <= 1);
    CHECK(ratio >= 1.0 / 8);
  }
  CHECK(kept > 0);
  CHECK(divided > 0);
  CHECK(blended > 0);
}

TEST_CASE("equal bounds give no NaN, not even for a wavelength on the bound") {
  CHECK(rotary_frequencies(scout, 128, float32).isfinite().all().item<bool>());
  CHECK(rotary_frequencies(scout, 128, float64).isfinite().all().item<bool>());
  // A base whose second wavelength is 8192 as float64 computes it: the blend is 0/0 there.
  double base = 0;
  for (double guess = std::pow(8192 / (2 * pi), 2), i = -4000; base == 0 && i <= 4000; ++i) {
    double const candidate = guess * (1 + i * 1.2e-16);
    auto const second = rotary_frequencies(Rope{.base = candidate}, 4, float64)[1].item<double>();
    if (2 * pi / second == 8192) base = candidate;
  }
  REQUIRE(base != 0);
  auto const found = rotary_frequencies(Rope{.base = base, .scaling = scout.scaling}, 4, float64);
  CHECK(found.isfinite().all().item<bool>());
  CHECK(found[0].item<double>() == 1);
}

TEST_CASE("the table equals a double loop") {
  for (auto const& rope : {plain, fixture, scout}) {
    auto const table = rotary_table(rope, 16, 100, float64, at::kCPU);
    auto const narrow = rotary_table(rope, 16, 100, float32, at::kCPU);
    REQUIRE(table.sizes() == at::IntArrayRef({100, 8, 2}));
    REQUIRE((narrow.scalar_type() == float32));
    double worst = 0, worst_narrow = 0;
    for (int l = 0; l < 100; ++l) {
      for (int i = 0; i < 8; ++i) {
        double const angle = l * frequency(rope, 16, i);
        double const expected[] = {std::cos(angle), std::sin(angle)};
        for (int part = 0; part < 2; ++part) {
          worst = std::max(worst, std::abs(table[l][i][part].item<double>() - expected[part]));
          worst_narrow = std::max(worst_narrow, std::abs(narrow[l][i][part].item<double>() - expected[part]));
        }
      }
    }
    CHECK(worst <= 1e-13);
    CHECK(worst_narrow <= 1e-5);  // an angle of 100 in float32
  }
}

TEST_CASE("rotation turns neighbouring pairs") {
  auto const x = alone::normal({2, 9, 3, 16}, 1);
  auto const expected = naive(x, plain);
  auto const turned = kernel::rope(x, rotary_table(plain, 16, 9, float64, at::kCPU));
  CHECK(alone::relative(turned, expected) <= 1e-14);
  CHECK(alone::relative(turned, naive(x, plain, /*half_split=*/true)) > 0.1);

  auto const table = rotary_table(plain, 16, 9, float32, at::kCPU);
  CHECK(alone::relative(kernel::rope(x.to(float32), table), expected) <= 3e-7);
  auto const narrow = kernel::rope(x.to(bfloat16), table);
  CHECK((narrow.scalar_type() == bfloat16));
  // Rounded to bfloat16 before and after, and not in between.
  CHECK(narrow.equal(kernel::rope(x.to(bfloat16).to(float32), table).to(bfloat16)));
}

TEST_CASE("its gradient is the rotation back") {
  auto const table = rotary_table(plain, 16, 9, float64, at::kCPU);
  std::map<std::string, Tensor> leaves{{"x", alone::normal({1, 9, 2, 16}, 1).requires_grad_()}};
  auto const by = alone::normal({1, 9, 2, 16}, 2);
  alone::check_gradients([&] { return (kernel::rope(leaves["x"], table).square() * by).sum(); }, leaves);
  for (auto const dtype : {float32, float64}) {
    auto const x = alone::normal({1, 9, 2, 16}, 1).to(dtype).requires_grad_();
    backward(kernel::rope(x, table.to(dtype)).square().sum() / 2);
    CHECK(alone::relative(x.grad(), x) <= (dtype == float32 ? 3e-7 : 1e-15));
  }
}

TEST_CASE("a dot product of turned vectors depends on their distance alone") {
  auto const table = rotary_table(fixture, 16, 64, float64, at::kCPU);
  auto const q = kernel::rope(alone::normal({1, 1, 1, 16}, 1).expand({1, 64, 1, 16}).contiguous(), table);
  auto const k = kernel::rope(alone::normal({1, 1, 1, 16}, 2).expand({1, 64, 1, 16}).contiguous(), table);
  auto const dot = [&](int i, int j) { return (q[0][i][0] * k[0][j][0]).sum().item<double>(); };
  CHECK(std::abs(dot(5, 2) - dot(60, 57)) <= 1e-12);
  CHECK(std::abs(dot(5, 2) - dot(5, 3)) > 1e-3);
  CHECK(alone::relative(q.norm(2, -1), q.norm(2, -1)[0][0].expand({1, 64, 1})) <= 1e-14);
}

TEST_CASE("position 0 stays, one position is enough") {
  auto const x = alone::normal({2, 1, 3, 4}, 1);
  CHECK(kernel::rope(x, rotary_table(plain, 4, 1, float64, at::kCPU)).equal(x));
}
