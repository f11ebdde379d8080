// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/fp8.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

/// An eight-bit format written out: what each of its codes means, and the code of a number.
struct Format {
  Dtype dtype;
  int mantissa, bias;
  int last;  ///< the code of the largest finite number

  double value(int code) const {
    int const magnitude = code & 127;
    double const sign = code & 128 ? -1 : 1;
    if (magnitude > last) {
      bool const infinite = dtype == float8_e5m2 && magnitude == last + 1;
      return infinite ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
    }
    int const exponent = magnitude >> mantissa, fraction = magnitude & ((1 << mantissa) - 1);
    double const unit = std::ldexp(1.0, -mantissa);
    return sign * (exponent == 0 ? std::ldexp(fraction * unit, 1 - bias) : std::ldexp(1 + fraction * unit, exponent - bias));
  }
  /// The nearest finite code by a search among all of them; of two equally near the even one.
  int nearest(double x) const {
    int best = 0;
    double const target = std::min(std::abs(x), value(last));
    for (int code = 1; code <= last; ++code) {
      double const distance = std::abs(value(code) - target), best_distance = std::abs(value(best) - target);
      if (distance < best_distance || (distance == best_distance && code % 2 == 0)) best = code;
    }
    return best | (std::signbit(x) ? 128 : 0);
  }
};

constexpr Format e4m3{float8_e4m3, 3, 7, 0x7e};
constexpr Format e5m2{float8_e5m2, 2, 15, 0x7b};

int code_of(Tensor const& codes, std::int64_t i) { return codes.view(at::kByte)[i].item<int>(); }

/// Every finite code's number, the halves between neighbours, their neighbours in float32, and far beyond either end.
std::vector<float> hard_numbers(Format const& format) {
  std::vector<float> all{0.0F, -0.0F, 1e-30F, -1e-30F, 1e30F, -1e30F, std::numeric_limits<float>::denorm_min()};
  for (int code = 0; code <= format.last; ++code) {
    auto const here = static_cast<float>(format.value(code));
    double const next = code < format.last ? format.value(code + 1) : 2 * format.value(code) - format.value(code - 1);
    auto const half = static_cast<float>((here + next) / 2);
    for (float x : {here, half}) {
      for (float y : {x, std::nextafter(x, 1e30F), std::nextafter(x, -1e30F)}) {
        all.push_back(y);
        all.push_back(-y);
      }
    }
  }
  return all;
}

Tensor one() { return at::ones({}, at::TensorOptions().dtype(float32)); }

/// What the codes mean, in float64.
Tensor value(kernel::Fp8Tensor const& t) { return t.codes.to(float32).to(float64) * t.inverse.to(float64); }

Tensor fused(std::vector<Tensor> const& a) { return kernel::fp8_linear(a[0], a[1]); }

}  // namespace

TEST_CASE("all 256 codes mean what the formats say") {
  for (auto const& format : {e4m3, e5m2}) {
    auto const all = at::arange(256).to(at::kByte).view(format.dtype).to(float32);
    for (int code = 0; code < 256; ++code) {
      double const found = all[code].item<double>(), expected = format.value(code);
      CAPTURE(code);
      CHECK(std::isnan(found) == std::isnan(expected));
      if (!std::isnan(expected)) CHECK((found == expected && std::signbit(found) == std::signbit(expected)));
    }
    CHECK(kernel::largest(format.dtype) == format.value(format.last));
  }
}

TEST_CASE("rounding is to the nearest code of all, ties to even, and the ends hold") {
  for (auto const& format : {e4m3, e5m2}) {
    auto const numbers = hard_numbers(format);
    auto const codes = kernel::to_fp8(at::tensor(numbers), one(), format.dtype);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      CAPTURE(numbers[i]);
      CHECK(code_of(codes, static_cast<std::int64_t>(i)) == format.nearest(numbers[i]));
    }
  }
}

TEST_CASE("a code comes back as itself at any scale that is a power of two") {
  for (auto const& format : {e4m3, e5m2}) {
    std::vector<float> numbers;
    for (int code = 0; code <= format.last; ++code) numbers.push_back(static_cast<float>(std::ldexp(format.value(code), -9)));
    auto const t = kernel::quantise(at::tensor(numbers), format.dtype);
    CHECK(t.inverse.item<double>() == std::ldexp(1.0, -9));
    for (int code = 0; code <= format.last; ++code) CHECK(code_of(t.codes, code) == code);
  }
}

TEST_CASE("the scale is that of the largest magnitude, in float64 and rounded once") {
  for (auto const dtype : {float32, bfloat16}) {
    for (double const size : {1e-6, 0.37, 3e4}) {
      auto const x = (draw({7, 33}, size, 5) - size).to(dtype);
      for (auto const& format : {e4m3, e5m2}) {
        auto const t = kernel::quantise(x, format.dtype);
        auto const top = x.to(float64).abs().max().item<double>();
        auto const scale = static_cast<float>(format.value(format.last) / top);
        CHECK(t.inverse.item<float>() == 1.0F / scale);
        CHECK((t.codes.to(float32).abs().max().item<double>() == format.value(format.last)));
        auto const flat = x.flatten();
        auto const codes = t.codes.flatten();
        for (std::int64_t i = 0; i < flat.numel(); ++i) {
          CHECK(code_of(codes, i) == format.nearest(flat[i].item<float>() * scale));
        }
      }
    }
  }
}

TEST_CASE("zeros stay zeros, tiny tensors do not overflow the scale, and nothing stays nothing") {
  for (auto const format : {float8_e4m3, float8_e5m2}) {
    auto const zeros = kernel::quantise(at::zeros({3, 16}), format);
    CHECK(value(zeros).eq(0).all().item<bool>());
    CHECK(std::isfinite(zeros.inverse.item<float>()));
    auto const tiny = kernel::quantise(at::full({4}, 1e-30), format);
    CHECK(value(tiny).isfinite().all().item<bool>());
    auto const none = kernel::quantise(at::empty({0, 16}), format);
    CHECK((none.codes.scalar_type() == format));
    CHECK(none.codes.sizes() == at::IntArrayRef({0, 16}));
  }
}

TEST_CASE("an infinity or NaN is not hidden: the whole product becomes NaN") {
  for (float const bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    auto const x = draw({3, 16}).to(float32), weight = draw({16, 16}, 1, 2).to(float32);
    auto broken = x.clone();
    broken[1][4] = bad;
    CHECK(kernel::fp8_linear(broken, weight).isnan().all().item<bool>());
    CHECK_FALSE(kernel::fp8_linear(x, weight).isnan().any().item<bool>());
    // A NaN that meets a given scale stays one, while an infinity is the largest number.
    auto const code = kernel::to_fp8(at::tensor({bad}), one(), float8_e4m3).to(float32).item<float>();
    CHECK(std::isnan(code) == std::isnan(bad));
    if (std::isinf(bad)) CHECK(code == std::copysign(448.0F, bad));
  }
}

TEST_CASE("the three products are those of the quantised factors") {
  for (auto const dtype : {float32, bfloat16}) {
    // 21 rows: no multiple of 16, which is the inner size of the weight's gradient.
    auto const x = draw({3, 7, 48}, 0.5, 1).to(dtype), weight = draw({32, 48}, 0.1, 2).to(dtype);
    auto const upstream = draw({3, 7, 32}, 1e-3, 3).to(dtype);
    auto const found = value_and_gradients(fused, {x, weight}, upstream, dtype);
    auto const x8 = value(kernel::quantise(x.reshape({21, 48}), float8_e4m3));
    auto const w8 = value(kernel::quantise(weight, float8_e4m3));
    auto const dy8 = value(kernel::quantise(upstream.reshape({21, 32}), float8_e5m2));
    double const bound = dtype == float32 ? 3e-7 : 2.5e-3;  // a rounding to bfloat16 is 1.7e-3 in the mean square
    CHECK(relative_error(found[0].reshape({21, 32}), at::mm(x8, w8.t())) <= bound);
    CHECK(relative_error(found[1].reshape({21, 48}), at::mm(dy8, w8)) <= bound);
    CHECK(relative_error(found[2], at::mm(dy8.t(), x8)) <= bound);
    for (auto const& t : found) CHECK((t.scalar_type() == dtype));
    // Eight bits are measured here: against the unrounded factors the error is thirty times that of bfloat16.
    CHECK(relative_error(found[0], at::linear(x.to(float64), weight.to(float64))) >= 0.02);
    CHECK(relative_error(found[0], at::linear(x.to(float64), weight.to(float64))) <= 0.06);
  }
}

TEST_CASE("one large element costs the others their bits, and a scaled factor costs nothing") {
  auto const x = draw({16, 64}).to(float32), weight = draw({32, 64}, 1, 2).to(float32);
  auto const y = kernel::fp8_linear(x, weight);
  // Powers of two pass through.
  CHECK(at::equal(kernel::fp8_linear(x * 1024, weight / 64), y * 16));
  auto outlier = x.clone();
  outlier[0][0] = 1e8;
  CHECK(kernel::fp8_linear(outlier, weight)[1].abs().max().item<double>() == 0);
}

TEST_CASE("a product's gradient goes only where it is wanted, and no rows have no gradient") {
  auto const weight = draw({16, 32}, 1, 2).to(bfloat16).requires_grad_();
  auto const x = draw({4, 32}).to(bfloat16);
  kernel::fp8_linear(x, weight).sum().backward();
  CHECK((weight.grad().scalar_type() == bfloat16));
  CHECK_FALSE(x.grad().defined());
  weight.mutable_grad().reset();
  auto const none = kernel::fp8_linear(x.narrow(0, 0, 0), weight);
  CHECK(none.sizes() == at::IntArrayRef({0, 16}));
  none.sum().backward();
  CHECK(weight.grad().eq(0).all().item<bool>());
}

TEST_CASE("fp8_linear refuses sizes that eight-bit units cannot take, and other dtypes") {
  CHECK_THROWS_WITH_AS(kernel::fp8_linear(at::zeros({2, 48}), at::zeros({24, 48})),
                       "fp8_linear: expected x [..., in] and a weight [out, in], multiples of 16, both of bfloat16 or float32, "
                       "found [2, 48] of Float and [24, 48] of Float",
                       ShapeError);
  CHECK_THROWS_AS(kernel::fp8_linear(at::zeros({2, 16}), at::zeros({16, 32})), ShapeError);
  CHECK_THROWS_AS(kernel::fp8_linear(at::zeros({2, 16}).to(float64), at::zeros({16, 16}).to(float64)), ShapeError);
  CHECK_THROWS_WITH_AS(kernel::quantise(at::zeros({2}), bfloat16),
                       "quantise: expected float8_e4m3 or float8_e5m2, found BFloat16", ShapeError);
}
