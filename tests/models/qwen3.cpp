// SPDX-License-Identifier: Apache-2.0
#include "lierne/models/qwen3.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "lierne/spec/name.hpp"

using namespace lierne;
using namespace lierne::models;

static_assert(fits(qwen3_0_6b) && fits(qwen3_32b, Plan{.shard = rest, .tensor = 8}, 64) && fits(qwen25_7b));

// Of the released model, written out: 3.3 billion active, embedding and output included.
static_assert(active_parameters(qwen3_30b_a3b) ==
              2LL * 151936 * 2048 + 48LL * (2 * 128 * 2048 * (32 + 4) + 2 * 128 + 128 * 2048 + 8 * 3 * 2048 * 768 + 2 * 2048) + 2048);
static_assert(flops_per_token(qwen3_8b, 4096) ==
              6.0 * (8'190'735'360.0 - 151936.0 * 4096) + 12.0 * 36 * 32 * 128 * 4096);

TEST_CASE("no two shapes share a name, and what is special about them is in it") {
  std::set<std::string> const names{name(qwen3_0_6b), name(qwen3_1_7b), name(qwen3_4b),      name(qwen3_8b),   name(qwen3_14b),
                                    name(qwen3_32b),  name(qwen3_30b_a3b), name(qwen25_0_5b), name(qwen25_7b)};
  CHECK(names.size() == 9);
  CHECK(name(qwen3_0_6b).find("attention 16/8 size 128 weighted qk norm") != std::string::npos);
  CHECK(name(qwen25_7b).find("attention 28/4 bias") != std::string::npos);
}
