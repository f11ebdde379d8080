// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/fp8_grouped_product.hpp"

#include "against.hpp"
#include "nn/naive_fp8.hpp"

using namespace lierne;
using namespace lierne::testing;

namespace {

Tensor ends_of(std::vector<std::int64_t> const& ends) {
  return at::tensor(at::ArrayRef<std::int64_t>(ends)).to(at::kInt);
}
Operation grouped(std::vector<std::int64_t> const& ends) {
  return [=](std::vector<Tensor> const& a) { return kernel::fp8_grouped_product(a[0], a[1], ends_of(ends)); };
}
/// Group by group, and no product for a group of no rows.
Operation naive(std::vector<std::int64_t> const& ends) {
  return [=](std::vector<Tensor> const& a) {
    std::vector<Tensor> parts;
    std::int64_t begin = 0;
    for (std::size_t e = 0; e < ends.size(); begin = ends[e++]) {
      if (ends[e] == begin) continue;
      parts.push_back(naive_fp8::linear(a[0].narrow(0, begin, ends[e] - begin), a[1][static_cast<std::int64_t>(e)]));
    }
    return at::cat(parts);
  };
}

// Groups of no row, of one, of odd numbers and of 16.
std::vector<std::int64_t> const ragged{0, 1, 12, 12, 28, 35};

}  // namespace

TEST_CASE("each group's three products are those of its own rounded factors") {
  // Rows and weights whose sizes differ from group to group, so that a scale that two of them shared would be seen.
  auto const sizes = at::logspace(-2, 2, 35, 10.0, at::TensorOptions().dtype(float64)).unsqueeze(1);
  auto const x = draw({35, 48}, 1, 1) * sizes, upstream = draw({35, 32}, 1e-3, 3) * sizes.flip(0);
  auto const weight = draw({6, 32, 48}, 1, 2) * at::logspace(-3, 1, 6, 10.0, sizes.options()).view({6, 1, 1});
  for (auto const dtype : {float32, bfloat16}) {
    auto const found = value_and_gradients(grouped(ragged), {x, weight}, upstream, dtype);
    auto const expected = value_and_gradients(naive(ragged), {x, weight}, upstream, dtype);
    double const bound = dtype == float32 ? 3e-7 : 5e-4;  // bfloat16: sums beside the middle of two numbers
    std::int64_t begin = 0;
    for (std::int64_t e = 0; e < 6; begin = ragged[static_cast<std::size_t>(e++)]) {
      CAPTURE(e);
      auto const rows = ragged[static_cast<std::size_t>(e)] - begin;
      for (int i : {0, 1}) CHECK(relative_error(found[i].narrow(0, begin, rows), expected[i].narrow(0, begin, rows)) <= bound);
      CHECK(relative_error(found[2][e], expected[2][e]) <= bound);
    }
    for (auto const& t : found) CHECK((t.scalar_type() == dtype));
  }
}

TEST_CASE("a group is alone: its product is fp8_linear's, whatever the others hold") {
  auto x = draw({35, 48}, 1, 1).to(bfloat16), weight = draw({6, 32, 48}, 1, 2).to(bfloat16);
  auto const once = kernel::fp8_grouped_product(x, weight, ends_of(ragged));
  CHECK(once.narrow(0, 1, 11).equal(kernel::fp8_linear(x.narrow(0, 1, 11), weight[2])));
  x[0][0] = 1e8;  // of group 1
  weight[4][0][0] = 1e8;
  auto const again = kernel::fp8_grouped_product(x, weight, ends_of(ragged));
  CHECK(again.narrow(0, 1, 11).equal(once.narrow(0, 1, 11)));
  CHECK(again.narrow(0, 28, 7).equal(once.narrow(0, 28, 7)));
  CHECK_FALSE(again.narrow(0, 0, 1).equal(once.narrow(0, 0, 1)));
}

TEST_CASE("no rows at all, and rows behind the last end") {
  auto const weight = draw({2, 16, 32}, 1, 2).to(bfloat16).requires_grad_();
  auto const none = kernel::fp8_grouped_product(draw({0, 32}).to(bfloat16), weight, ends_of({0, 0}));
  CHECK(none.sizes() == at::IntArrayRef({0, 16}));
  none.sum().backward();
  CHECK(weight.grad().eq(0).all().item<bool>());
  auto const found = kernel::fp8_grouped_product(draw({9, 32}).to(bfloat16), weight, ends_of({3, 5}));
  CHECK(found.size(0) == 9);
  CHECK(found.narrow(0, 5, 4).eq(0).all().item<bool>());
}

TEST_CASE("shapes that do not fit are named") {
  CHECK_THROWS_WITH_AS(kernel::fp8_grouped_product(at::zeros({4, 32}), at::zeros({2, 16, 48}), ends_of({2, 4})),
                       "fp8_grouped_product: expected x [R, in], weight [E, out, in] and ends [E], found [4, 32], [2, 16, 48] "
                       "and [2]",
                       ShapeError);
  CHECK_THROWS_AS(kernel::fp8_grouped_product(at::zeros({4, 32}), at::zeros({2, 16, 32}), ends_of({4})), ShapeError);
  CHECK_THROWS_WITH_AS(kernel::fp8_grouped_product(at::zeros({4, 24}), at::zeros({2, 16, 24}), ends_of({2, 4})),
                       doctest::Contains("multiples of 16"), ShapeError);
  auto const wide = at::TensorOptions().dtype(float64);
  CHECK_THROWS_AS(kernel::fp8_grouped_product(at::zeros({4, 16}, wide), at::zeros({1, 16, 16}, wide), ends_of({4})),
                  ShapeError);
}
