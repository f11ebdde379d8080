// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/rope.hpp"

#include "against.hpp"

#include <cmath>

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor table_of(std::int64_t length, std::int64_t half) {
  auto const options = at::TensorOptions().dtype(float64);
  auto const angle = at::outer(at::arange(length, options), at::pow(10000.0, -at::arange(half, options) / static_cast<double>(half)));
  return at::stack({angle.cos(), angle.sin()}, -1);
}

// A rotation's table belongs to the operation: it takes no gradient and stays wide.
Operation fused(Tensor const& table) {
  return [=](std::vector<Tensor> const& a) {
    return kernel::rope(a[0], a[0].scalar_type() == float64 ? table : table.to(float32));
  };
}
Operation plain(Tensor const& table) {
  return [=](std::vector<Tensor> const& a) {
    auto const wide = a[0].scalar_type() == float64 ? float64 : float32;
    auto const x = a[0].to(wide).unflatten(-1, {-1, 2});
    auto const t = table.to(wide).unsqueeze(1);
    auto const even = x.select(-1, 0), odd = x.select(-1, 1), cosine = t.select(-1, 0), sine = t.select(-1, 1);
    return at::stack({even * cosine - odd * sine, even * sine + odd * cosine}, -1).flatten(-2).to(a[0].scalar_type());
  };
}

}  // namespace

TEST_CASE("rope turns pairs by hand") {
  auto const table = table_of(3, 1).to(float32);
  auto const x = at::tensor({1.0F, 0.0F, 1.0F, 0.0F, 0.0F, 2.0F}).view({1, 3, 1, 2});
  auto const y = kernel::rope(x, table).flatten();
  CHECK(y[0].item<float>() == 1.0F);
  CHECK(y[2].item<float>() == doctest::Approx(std::cos(1.0)));
  CHECK(y[3].item<float>() == doctest::Approx(std::sin(1.0)));
  CHECK(y[4].item<float>() == doctest::Approx(-2 * std::sin(2.0)));
  CHECK(y[5].item<float>() == doctest::Approx(2 * std::cos(2.0)));
}

TEST_CASE("rope equals its formula, values and gradients") {
  for (auto const& shape : std::vector<Shape>{{2, 7, 3, 8}, {1, 40, 2, 64}, {3, 5, 1, 6}}) {
    auto const table = table_of(shape[1], shape[3] / 2);
    against_float64(fused(table), plain(table), {draw(shape, 1, 1)}, draw(shape, 1, 3), 2e-7);
  }
}

TEST_CASE("rope keeps the length of every pair, and turning back undoes it") {
  auto const table = table_of(16, 4).to(float32);
  auto const x = draw({2, 16, 3, 8}, 1, 1).to(float32);
  auto const y = kernel::rope(x, table);
  CHECK(at::allclose(y.unflatten(-1, {-1, 2}).norm(2, -1), x.unflatten(-1, {-1, 2}).norm(2, -1), 1e-6, 1e-6));
  CHECK(at::allclose(kernel::detail::turn(y, table, true), x, 1e-5, 1e-6));
}

TEST_CASE("rope has the same bits on any number of threads, and on strided input") {
  auto const table = table_of(65, 8);
  for (auto dtype : {float32, bfloat16}) {
    same_bits_for_any_threads(fused(table), {draw({3, 65, 2, 16}, 1, 1)}, draw({3, 65, 2, 16}, 1, 3), dtype);
  }
  auto const x = draw({3, 2, 65, 16}, 1, 1).to(float32).transpose(1, 2);
  CHECK(at::equal(kernel::rope(x, table.to(float32)), kernel::rope(x.contiguous(), table.to(float32))));
}

TEST_CASE("rope in float64 goes through ATen") {
  auto const x = draw({1, 5, 2, 4}, 1, 1), table = table_of(5, 2);
  CHECK(relative_error(kernel::rope(x, table), plain(table)({x})) < 1e-15);
}

TEST_CASE("rope refuses a table that does not fit") {
  CHECK_THROWS_WITH_AS(kernel::rope(at::zeros({1, 5, 2, 4}), at::zeros({4, 2, 2})),
                       "rope: expected x [B, L, N, d] and a table [L, d/2, 2], found [1, 5, 2, 4] and [4, 2, 2]", ShapeError);
  CHECK_THROWS_AS(kernel::rope(at::zeros({5, 2, 4}), at::zeros({5, 2, 2})), ShapeError);
}
