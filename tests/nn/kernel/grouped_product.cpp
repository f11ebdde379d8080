// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/grouped_product.hpp"

#include "against.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor ends_of(std::vector<std::int64_t> const& ends) {
  return at::tensor(at::ArrayRef<std::int64_t>(ends)).to(at::kInt);
}

/// One product a row, with the weights of the group that it lies in.
Tensor row_by_row(Tensor const& x, Tensor const& weight, std::vector<std::int64_t> const& ends) {
  std::vector<Tensor> rows;
  std::size_t e = 0;
  for (std::int64_t r = 0; r < x.size(0); ++r) {
    while (r >= ends[e]) ++e;
    rows.push_back(at::mv(weight[static_cast<std::int64_t>(e)], x[r]));
  }
  return at::stack(rows);
}

Operation grouped(std::vector<std::int64_t> const& ends, bool aligned) {
  return [=](std::vector<Tensor> const& a) { return kernel::grouped_product(a[0], a[1], ends_of(ends), aligned); };
}
Operation naive(std::vector<std::int64_t> const& ends) {
  return [=](std::vector<Tensor> const& a) { return row_by_row(a[0], a[1], ends); };
}

}  // namespace

TEST_CASE("each row meets its group's weights, values and gradients") {
  // Groups of no row, of one, and of many.
  std::vector<std::int64_t> const ragged{0, 1, 12, 12, 19}, even{8, 24, 32};
  against_float64(grouped(ragged, false), naive(ragged), {draw({19, 12}, 1, 1), draw({5, 10, 12}, 1, 2)}, draw({19, 10}, 1, 3));
  against_float64(grouped(even, false), naive(even), {draw({32, 16}, 1, 1), draw({3, 24, 16}, 1, 2)}, draw({32, 24}, 1, 3));
  against_float64(grouped(even, true), naive(even), {draw({32, 16}, 1, 1), draw({3, 24, 16}, 1, 2)}, draw({32, 24}, 1, 3));
}

TEST_CASE("float64, and rows that are not of 16 bytes, go group by group") {
  CHECK(kernel::suits_grouped_mm(at::empty({4, 8}), at::empty({2, 12, 8})));
  CHECK_FALSE(kernel::suits_grouped_mm(at::empty({4, 6}), at::empty({2, 12, 6})));
  CHECK_FALSE(kernel::suits_grouped_mm(at::empty({4, 8}), at::empty({2, 10, 8})));
  auto const bf16 = at::TensorOptions().dtype(bfloat16);
  CHECK_FALSE(kernel::suits_grouped_mm(at::empty({4, 12}, bf16), at::empty({2, 8, 12}, bf16)));
  CHECK_FALSE(kernel::suits_grouped_mm(draw({4, 8}), draw({2, 8, 8})));
  auto const x = draw({9, 6}, 1, 1), weight = draw({2, 5, 6}, 1, 2);
  CHECK(relative_error(kernel::grouped_product(x, weight, ends_of({4, 9}), true), row_by_row(x, weight, {4, 9})) <= 1e-15);
}

TEST_CASE("rows behind the last end are left alone") {
  auto const x = draw({16, 8}, 1, 1).to(float32), weight = draw({2, 8, 8}, 1, 2).to(float32);
  for (bool aligned : {false, true}) {
    auto const found = kernel::grouped_product(x, weight, ends_of({8, 8}), aligned);
    CHECK(found.size(0) == 16);
    CHECK(at::allclose(found.narrow(0, 0, 8), at::mm(x.narrow(0, 0, 8), weight[0].t()), 1e-5, 1e-6));
  }
}

TEST_CASE("shapes that do not fit are named") {
  CHECK_THROWS_WITH_AS(kernel::grouped_product(at::zeros({4, 8}), at::zeros({2, 8, 6}), ends_of({2, 4}), false),
                       "grouped_product: expected x [R, in], weight [E, out, in] of one dtype and ends [E], found [4, 8] of "
                       "Float, [2, 8, 6] of Float and [2]",
                       ShapeError);
  CHECK_THROWS_AS(kernel::grouped_product(at::zeros({4, 8}), at::zeros({2, 8, 8}), ends_of({4}), false), ShapeError);
}
