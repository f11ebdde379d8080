// SPDX-License-Identifier: Apache-2.0
// The 64-bit hash that turns names into keys of random streams, and bytes of files into cache keys.
#pragma once

#include <cstdint>
#include <string_view>

namespace lierne {

/// The start value of an empty hash.
inline constexpr std::uint64_t hash_start = 0xcbf29ce484222325U;

/// The 64-bit FNV-1a hash of a text; the same on every machine and in every version, so that it may be stored.
/// Hashing `a` and going on from the result with `b` is hashing `a` followed by `b`.
///
/// Math: h <- (h xor byte) * 0x100000001b3 mod 2^64, for each byte in order.
/// Source: Fowler, Noll, Vo; RFC 9923.
/// Example: `constexpr auto key = lierne::hash("layers.0.attention.wq.weight");`
constexpr std::uint64_t hash(std::string_view text, std::uint64_t start = hash_start) {
  std::uint64_t h = start;
  for (char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return h;
}

}  // namespace lierne
