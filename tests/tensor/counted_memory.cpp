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

TEST_CASE("memory of which a library keeps the address alone counts, whoever frees it") {
  auto* const before = c10::GetCPUAllocator()->raw_allocate(64);
  void* during = nullptr;
  {
    CountedMemory memory;
    auto* const one = c10::GetCPUAllocator()->raw_allocate(100);
    during = c10::GetCPUAllocator()->raw_allocate(64);
    CHECK(memory.live() == 164);
    c10::GetCPUAllocator()->raw_deallocate(one);
    CHECK(memory.live() == 64);
    c10::GetCPUAllocator()->raw_deallocate(before);
    CHECK(memory.live() == 64);
  }
  c10::GetCPUAllocator()->raw_deallocate(during);
  // The same address may come again, and again be freed once.
  CountedMemory memory;
  for (int i = 0; i < 100; ++i) {
    auto const t = at::empty({16});
    CHECK(memory.live() == 64);
  }
  CHECK(memory.live() == 0);
}

TEST_CASE("products in every format can be counted") {
  for (auto const dtype : {bfloat16, float32, float64}) {
    auto const a = at::ones({64, 48}, dtype), b = at::ones({48, 32}, dtype);
    CountedMemory memory;
    CHECK(at::mm(a, b).eq(48).all().item<bool>());
    CHECK(memory.live() == 0);
    CHECK(memory.peak() >= static_cast<std::int64_t>(64 * 32 * a.element_size()));
  }
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
