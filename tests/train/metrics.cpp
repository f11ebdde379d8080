// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/metrics.hpp"

#include <type_traits>

// They are values: a sink may keep them, and a test may write them down by name.
static_assert(std::is_copy_assignable_v<lierne::StepMetrics> && std::is_aggregate_v<lierne::StepMetrics>);
static_assert(lierne::ValidationMetrics{.step = 3, .loss = 2}.bits_per_byte == 0);
static_assert(std::is_aggregate_v<lierne::TextSample>);
static_assert(std::is_aggregate_v<lierne::CheckpointMetrics>);
