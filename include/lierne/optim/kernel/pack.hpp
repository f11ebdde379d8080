// SPDX-License-Identifier: Apache-2.0
// A short vector as a value of update rules, in the instructions that every CPU of the target has.
#pragma once

#include <cmath>
#include <cstring>

#include "lierne/optim/value.hpp"

namespace lierne {

namespace detail {

template <class T>
struct PackOf;
template <>
struct PackOf<float> {
  typedef float Raw __attribute__((vector_size(16)));
  typedef int Bits __attribute__((vector_size(16)));
};
template <>
struct PackOf<double> {
  typedef double Raw __attribute__((vector_size(16)));
  typedef long long Bits __attribute__((vector_size(16)));
};

}  // namespace detail

/// 16 bytes of elements: 4 floats or 2 doubles.
/// Numerics: each lane rounds as `Lane<T>` does, bit for bit. The square root is the processor's own instruction: the
/// library function would keep a branch for errno, and that branch alone makes a pass four times slower.
template <class T>
struct Pack {
  using Scalar = T;
  using Raw = typename detail::PackOf<T>::Raw;
  struct Mask {
    typename detail::PackOf<T>::Bits bits;
    friend Mask operator|(Mask a, Mask b) { return {a.bits | b.bits}; }
    friend Mask operator&(Mask a, Mask b) { return {a.bits & b.bits}; }
  };
  static constexpr int lanes = 16 / sizeof(T);

  Raw raw;

  Pack() = default;
  Pack(Raw vector) : raw(vector) {}
  Pack(T scalar) : raw(scalar - Raw{}) {}  // implicit: `2 * x`; x - 0 keeps the sign of zero

  static Pack load(T const* from) {
    Pack pack;
    std::memcpy(&pack.raw, from, sizeof pack.raw);
    return pack;
  }
  void store(T* to) const { std::memcpy(to, &raw, sizeof raw); }

  friend Pack operator+(Pack a, Pack b) { return a.raw + b.raw; }
  friend Pack operator-(Pack a, Pack b) { return a.raw - b.raw; }
  friend Pack operator*(Pack a, Pack b) { return a.raw * b.raw; }
  friend Pack operator/(Pack a, Pack b) { return a.raw / b.raw; }
  friend Pack operator-(Pack a) { return -a.raw; }
  friend Mask operator<(Pack a, Pack b) { return {a.raw < b.raw}; }
  friend Mask operator<=(Pack a, Pack b) { return {a.raw <= b.raw}; }
  friend Mask operator>(Pack a, Pack b) { return {a.raw > b.raw}; }
  friend Mask operator>=(Pack a, Pack b) { return {a.raw >= b.raw}; }
  friend Mask operator!=(Pack a, Pack b) { return {a.raw != b.raw}; }
  friend Pack select(Mask mask, Pack a, Pack b) { return mask.bits ? a.raw : b.raw; }
  friend Pack sqrt(Pack a) {
#if defined(__clang__)
    return __builtin_elementwise_sqrt(a.raw);
#elif defined(__SSE2__)
    if constexpr (sizeof(T) == 4) {
      return __builtin_ia32_sqrtps(a.raw);
    } else {
      return __builtin_ia32_sqrtpd(a.raw);
    }
#else
    for (int i = 0; i < lanes; ++i) a.raw[i] = std::sqrt(a.raw[i]);
    return a;
#endif
  }
};

}  // namespace lierne
