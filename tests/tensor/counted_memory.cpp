// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/counted_memory.hpp"

#include <doctest/doctest.h>

using namespace lierne;

TEST_CASE("the peak is that of what lives at once") {
  CountedMemory memory;
  CHECK(memory.live() == 0);
  {
    auto const a = at::empty({1000});
    CHECK(memory.live() == 4000);
    {
      auto const b = at::empty({500}, at::TensorOptions().dtype(float64));
      auto const view = b.narrow(0, 0, 10);
      CHECK(memory.live() == 8000);
    }
    CHECK(memory.live() == 4000);
    CHECK(memory.peak() == 8000);
    memory.restart();
    CHECK(memory.peak() == 4000);
  }
  CHECK(memory.live() == 0);
  at::empty({2000});
  CHECK(memory.peak() == 8000);
}

TEST_CASE("what an operation makes on the way counts") {
  auto const x = at::ones({1000});
  CountedMemory memory;
  auto const y = (x + 1).mul(2);
  CHECK(y.eq(4).all().item<bool>());
  CHECK(memory.live() == 4000);
  CHECK(memory.peak() >= 8000);
}

TEST_CASE("memory may outlive the count, and nothing is counted after it") {
  Tensor kept;
  {
    CountedMemory memory;
    kept = at::full({1000}, 3.0);
    CHECK(memory.live() >= 4000);
  }
  CHECK(kept.eq(3).all().item<bool>());
  kept = Tensor();
  CountedMemory memory;
  CHECK(memory.live() == 0);
  CHECK(at::ones({3}).sum().item<float>() == 3);
}
