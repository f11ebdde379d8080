// SPDX-License-Identifier: Apache-2.0
// The checksum CRC-32C, by which record files tell torn writes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lierne {

namespace detail {

inline constexpr auto crc32c_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) != 0 ? 0x82f63b78U : 0U);
    table[byte] = rest;
  }
  return table;
}();

}  // namespace detail

/// The CRC-32C of a text's bytes.
/// Math: the remainder by the Castagnoli polynomial, bits reflected, first and last value inverted.
/// Source: RFC 3720, B.4. Example: `crc32c("123456789")` is 0xe3069283.
constexpr std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (char c : bytes) crc = (crc >> 8) ^ detail::crc32c_table[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

}  // namespace lierne
