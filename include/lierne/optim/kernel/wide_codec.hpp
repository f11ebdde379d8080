// SPDX-License-Identifier: Apache-2.0
// Whether codecs of stored numbers run in AVX2, chosen at run time in a plain -O2 build.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define LIERNE_WIDE_CODEC 1
#include <immintrin.h>
#endif

namespace lierne {

/// Whether this build has the AVX2 forms of the codecs and the processor their instructions. Both forms give one result.
inline bool wide_codecs_run() {
#ifdef LIERNE_WIDE_CODEC
  static bool const wide = __builtin_cpu_supports("avx2");
  return wide;
#else
  return false;
#endif
}

}  // namespace lierne
