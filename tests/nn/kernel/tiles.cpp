// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/tiles.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace lierne;

TEST_CASE("a tile of bfloat16 holds its values, one of float32 is the tensor") {
  auto const x = at::randn({100});
  auto const narrow = x.to(bfloat16);
  float buffer[40];
  auto const* tile = kernel::Source(narrow).tile(30, 40, buffer);
  REQUIRE(tile == buffer);
  for (int i = 0; i < 40; ++i) CHECK(tile[i] == narrow[30 + i].item<float>());
  CHECK(kernel::Source(x).tile(30, 40, buffer) == x.const_data_ptr<float>() + 30);
  CHECK(kernel::Sink(x).tile(30, buffer) == x.const_data_ptr<float>() + 30);
}

TEST_CASE("rounding equals LibTorch's: ties to even, overflow, subnormals, NaN") {
  auto const infinity = std::numeric_limits<float>::infinity();
  auto const values = at::cat({at::randn({1000}) * 1e3,
                               at::tensor({1.00390625F, 1.01171875F, -1.00390625F, 3.4e38F, -3.4e38F, 1e-40F, 0.0F, -0.0F,
                                           infinity, -infinity, std::numeric_limits<float>::quiet_NaN()})});
  auto const out = at::empty(values.sizes(), at::TensorOptions().dtype(bfloat16));
  kernel::Sink(out).store(0, values.numel(), values.const_data_ptr<float>());
  auto const expected = values.to(bfloat16);
  CHECK(at::equal(out.isnan(), expected.isnan()));
  CHECK(at::equal(out.nan_to_num().view(at::kShort), expected.nan_to_num().view(at::kShort)));
}

TEST_CASE("only float32 and bfloat16 on the CPU are fusible") {
  auto const x = at::zeros({2});
  CHECK(kernel::fusible(x, x.to(bfloat16)));
  CHECK_FALSE(kernel::fusible(x, x.to(float64)));
  CHECK_FALSE(kernel::fusible(x.to(int64)));
  CHECK_FALSE(kernel::fusible(at::empty({2}, at::TensorOptions().device(at::kMeta))));
}

TEST_CASE("an empty tensor has no tiles, and no wrong dtype") {
  for (auto dtype : {float32, bfloat16}) {
    auto const empty = at::empty({0, 8}, at::TensorOptions().dtype(dtype));
    kernel::Sink const sink(empty);
    kernel::Source const source(empty);
    float buffer[1];
    sink.store(0, 0, buffer);
    CHECK_NOTHROW(source.tile(0, 0, buffer));
  }
}
