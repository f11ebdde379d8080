// SPDX-License-Identifier: Apache-2.0
// A vector of 32 bytes as a value of update rules, in AVX2 instructions, chosen at run time in a plain -O2 build.
#pragma once

// GCC alone inlines a function of a narrower target into one of a wider target through `flatten`.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIERNE_WIDE_PACK 1

#include "lierne/optim/value.hpp"

namespace lierne {

namespace detail {

template <class T>
struct WidePackOf;
template <>
struct WidePackOf<float> {
  typedef float Raw __attribute__((vector_size(32), may_alias));
  typedef float Unaligned __attribute__((vector_size(32), may_alias, aligned(4)));
  typedef int Bits __attribute__((vector_size(32), may_alias));
};
template <>
struct WidePackOf<double> {
  typedef double Raw __attribute__((vector_size(32), may_alias));
  typedef double Unaligned __attribute__((vector_size(32), may_alias, aligned(8)));
  typedef long long Bits __attribute__((vector_size(32), may_alias));
};

}  // namespace detail

/// 32 bytes of elements: 8 floats or 4 doubles.
///
/// A stage's `element` is compiled for the build's own target, so the vector may not appear in its code as a vector: it
/// travels as an array, which every target passes through memory alike, and each operation is a function of the AVX2
/// target. A kernel marked `flatten` and AVX2 then inlines `element` and the operations, and the arrays dissolve into
/// registers. What is not inlined stays right and is slow.
/// Numerics: each lane rounds as `Lane<T>` does, bit for bit (no fused multiply-add).
template <class T>
struct alignas(32) WidePack {
  using Scalar = T;
  using Raw = typename detail::WidePackOf<T>::Raw;
  using Bits = typename detail::WidePackOf<T>::Bits;
  using Unaligned = typename detail::WidePackOf<T>::Unaligned;
  static constexpr int lanes = 32 / sizeof(T);

  struct alignas(32) Mask {
    decltype(Bits{}[0] + 0) lane[lanes];

    [[gnu::target("avx2")]] static Mask of(Bits const& bits) {
      Mask mask;
      reinterpret_cast<Bits&>(mask.lane) = bits;
      return mask;
    }
    [[gnu::target("avx2")]] Bits const& bits() const { return reinterpret_cast<Bits const&>(lane); }
    [[gnu::target("avx2")]] friend Mask operator|(Mask const& a, Mask const& b) { return of(a.bits() | b.bits()); }
    [[gnu::target("avx2")]] friend Mask operator&(Mask const& a, Mask const& b) { return of(a.bits() & b.bits()); }
  };

  T lane[lanes];

  WidePack() = default;
  // Copies as vectors: the compiler's own copy of an array goes through memory in halves.
  [[gnu::target("avx2")]] WidePack(WidePack const& other) { raw() = other.raw(); }
  [[gnu::target("avx2")]] WidePack& operator=(WidePack const& other) {
    raw() = other.raw();
    return *this;
  }
  [[gnu::target("avx2")]] WidePack(T scalar) { raw() = scalar - Raw{}; }  // implicit: `2 * x`

  [[gnu::target("avx2")]] static WidePack load(T const* from) {
    WidePack pack;
    pack.raw() = *reinterpret_cast<Unaligned const*>(from);
    return pack;
  }
  [[gnu::target("avx2")]] void store(T* to) const { *reinterpret_cast<Unaligned*>(to) = raw(); }

  [[gnu::target("avx2")]] friend WidePack operator+(WidePack const& a, WidePack const& b) {
    return of(a.raw() + b.raw());
  }
  [[gnu::target("avx2")]] friend WidePack operator-(WidePack const& a, WidePack const& b) {
    return of(a.raw() - b.raw());
  }
  [[gnu::target("avx2")]] friend WidePack operator*(WidePack const& a, WidePack const& b) {
    return of(a.raw() * b.raw());
  }
  [[gnu::target("avx2")]] friend WidePack operator/(WidePack const& a, WidePack const& b) {
    return of(a.raw() / b.raw());
  }
  [[gnu::target("avx2")]] friend WidePack operator-(WidePack const& a) { return of(-a.raw()); }
  [[gnu::target("avx2")]] friend Mask operator<(WidePack const& a, WidePack const& b) {
    return Mask::of(a.raw() < b.raw());
  }
  [[gnu::target("avx2")]] friend Mask operator<=(WidePack const& a, WidePack const& b) {
    return Mask::of(a.raw() <= b.raw());
  }
  [[gnu::target("avx2")]] friend Mask operator>(WidePack const& a, WidePack const& b) {
    return Mask::of(a.raw() > b.raw());
  }
  [[gnu::target("avx2")]] friend Mask operator>=(WidePack const& a, WidePack const& b) {
    return Mask::of(a.raw() >= b.raw());
  }
  [[gnu::target("avx2")]] friend Mask operator!=(WidePack const& a, WidePack const& b) {
    return Mask::of(a.raw() != b.raw());
  }
  [[gnu::target("avx2")]] friend WidePack select(Mask const& mask, WidePack const& a, WidePack const& b) {
    return of(mask.bits() ? a.raw() : b.raw());
  }
  [[gnu::target("avx2")]] friend WidePack sqrt(WidePack const& a) {
    if constexpr (sizeof(T) == 4) {
      return of(__builtin_ia32_sqrtps256(a.raw()));
    } else {
      return of(__builtin_ia32_sqrtpd256(a.raw()));
    }
  }

 private:
  [[gnu::target("avx2")]] static WidePack of(Raw const& vector) {
    WidePack pack;
    pack.raw() = vector;
    return pack;
  }
  [[gnu::target("avx2")]] Raw& raw() { return reinterpret_cast<Raw&>(lane); }
  [[gnu::target("avx2")]] Raw const& raw() const { return reinterpret_cast<Raw const&>(lane); }
};

}  // namespace lierne
#endif

namespace lierne {

/// Whether this build has `WidePack` and the processor its instructions.
inline bool wide_packs_run() {
#ifdef LIERNE_WIDE_PACK
  static bool const wide = __builtin_cpu_supports("avx2");
  return wide;
#else
  return false;
#endif
}

}  // namespace lierne
