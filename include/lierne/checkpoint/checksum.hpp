// SPDX-License-Identifier: Apache-2.0
// The checksum of a file's bytes, taken in pieces as they pass. Sees no LibTorch header.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

namespace lierne {

/// XXH128 of the bytes so far: finds accidents (a flipped bit, a torn write) with a chance of 2^-128 to miss one; it is
/// no signature and stops no forger.
/// Source: xxHash, whose `xxhsum -H2` prints the same digits.
/// Example: `Checksum sum; sum.add(header); sum.add(data); sum.digits();`
class Checksum {
 public:
  Checksum();
  Checksum(Checksum&&) noexcept;
  ~Checksum();

  void add(std::string_view bytes);
  /// 32 hexadecimal digits, the high ones first.
  std::string digits() const;

  /// Of one piece. Example: `Checksum::of("abc")`.
  static std::string of(std::string_view bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

#if LIERNE_BODIES
struct Checksum::State {
  XXH3_state_t value;
};

LIERNE_INLINE Checksum::Checksum() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->value); }
LIERNE_INLINE Checksum::Checksum(Checksum&&) noexcept = default;
LIERNE_INLINE Checksum::~Checksum() = default;

LIERNE_INLINE void Checksum::add(std::string_view bytes) {
  // The library takes no null pointer.
  if (!bytes.empty()) XXH3_128bits_update(&state_->value, bytes.data(), bytes.size());
}

LIERNE_INLINE std::string Checksum::digits() const {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(&state_->value));
  std::string text;
  for (unsigned char const byte : bytes.digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

LIERNE_INLINE std::string Checksum::of(std::string_view bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum.digits();
}
#endif

}  // namespace lierne
