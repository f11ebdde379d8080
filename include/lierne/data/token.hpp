// SPDX-License-Identifier: Apache-2.0
// The number of a token, as every part of the folder passes it on.
#pragma once

#include <cstdint>

namespace lierne {

/// The number of a token; a row of the embedding.
using TokenId = std::int32_t;

/// In a window: no token. As a label it counts neither in the loss nor in bytes (ignore_index of a cross entropy).
inline constexpr TokenId ignored = -100;

}  // namespace lierne
