// SPDX-License-Identifier: Apache-2.0
// The process's memory: how much it has used, and whether freed memory is kept for the next step.
#pragma once

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

namespace lierne {

/// Asks the C library to keep freed memory in the process. Without it every activation of some megabytes comes as fresh
/// zeroed pages in each step, which costs a training step on the CPU about 5 %. Does nothing outside glibc.
inline void keep_freed_memory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
  ::mallopt(M_TOP_PAD, 64 << 20);
#endif
}

/// The largest resident size that the process has had, in bytes.
inline std::int64_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

/// The resident size of the process now, in bytes; 0 where /proc does not tell.
inline std::int64_t resident_bytes() {
  long long pages = 0;
  if (auto* file = std::fopen("/proc/self/statm", "r"); file != nullptr) {
    if (std::fscanf(file, "%*s %lld", &pages) != 1) pages = 0;
    std::fclose(file);
  }
  return std::int64_t{pages} * ::sysconf(_SC_PAGESIZE);
}

}  // namespace lierne
