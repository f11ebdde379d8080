// SPDX-License-Identifier: Apache-2.0
#include "lierne/data/token.hpp"

#include <type_traits>

static_assert(std::is_same_v<lierne::TokenId, std::int32_t>);
static_assert(lierne::ignored == -100);  // what at::cross_entropy_loss leaves out unless it is told otherwise
