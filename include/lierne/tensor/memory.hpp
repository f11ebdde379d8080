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

/// The largest resident size that the program has had, in bytes. Not that of `getrusage`, which begins with what the process
/// that started this one had; it is used where /proc does not tell.
inline std::int64_t peak_resident_bytes() {
  long long kilobytes = 0;
  if (auto* file = std::fopen("/proc/self/status", "r"); file != nullptr) {
    char line[256];
    while (kilobytes == 0 && std::fgets(line, sizeof line, file) != nullptr) {
      if (std::sscanf(line, "VmHWM: %lld", &kilobytes) != 1) kilobytes = 0;
    }
    std::fclose(file);
  }
  if (kilobytes == 0) {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    kilobytes = usage.ru_maxrss;
  }
  return std::int64_t{kilobytes} * 1024;
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
