// SPDX-License-Identifier: Apache-2.0
#include "lierne/tensor/memory.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>

// The kernel counts pages by the processor and adds these up now and then.
constexpr std::int64_t slack = 1 << 20;

TEST_CASE("the peak grows with what is touched and never falls") {
  auto const before = lierne::peak_resident_bytes();
  std::size_t const bytes = 64 << 20;
  auto* block = static_cast<char*>(std::malloc(bytes));
  std::memset(block, 1, bytes);
  CHECK(block[bytes / 2] == 1);
  auto const during = lierne::peak_resident_bytes();
  std::free(block);
  CHECK(during >= before);
  CHECK(during >= static_cast<std::int64_t>(bytes));
  CHECK(lierne::peak_resident_bytes() >= during - slack);
}

TEST_CASE("the resident size follows what is touched and given back") {
  auto const before = lierne::resident_bytes();
  CHECK(before > 0);
  CHECK(before <= lierne::peak_resident_bytes() + slack);
  std::size_t const bytes = 64 << 20;
  auto* const block = static_cast<char*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(block != MAP_FAILED);
  std::memset(block, 1, bytes);
  auto const during = lierne::resident_bytes();
  CHECK(block[bytes / 2] == 1);
  CHECK(during - before > 60 << 20);
  ::munmap(block, bytes);
  CHECK(during - lierne::resident_bytes() > 60 << 20);
}

namespace {

/// How many pages the kernel had to hand out while a block was allocated, written and freed.
long faults_of_a_block(std::size_t bytes) {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  auto* block = static_cast<char volatile*>(std::malloc(bytes));
  for (std::size_t i = 0; i < bytes; i += 4096) block[i] = 7;
  std::free(const_cast<char*>(block));
  ::getrusage(RUSAGE_SELF, &after);
  return after.ru_minflt - before.ru_minflt;
}

}  // namespace

// The address sanitizer has an allocator of its own, which the C library's settings do not reach.
#ifdef __SANITIZE_ADDRESS__
constexpr bool own_allocator = true;
#else
constexpr bool own_allocator = false;
#endif

TEST_CASE("freed memory stays in the process once that is asked for" * doctest::skip(own_allocator)) {
  lierne::keep_freed_memory();
  std::size_t const bytes = 48 << 20;
  faults_of_a_block(bytes);
  CHECK(faults_of_a_block(bytes) < 100);  // fresh pages would be 12,288 faults
}
