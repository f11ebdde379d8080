// SPDX-License-Identifier: Apache-2.0
// Presets: known models as records, each with its exact count of parameters. Sees spec alone.
#pragma once

#include "lierne/models/llama3.hpp"
#include "lierne/models/llama3_mup.hpp"
#include "lierne/models/llama4.hpp"
#include "lierne/models/qwen3.hpp"
