// SPDX-License-Identifier: Apache-2.0
// expect: presets: it needs a model \(write presets\(preset<gpt>
#include "lierne/train/presets.hpp"

namespace ln = lierne;

constexpr ln::Decoder gpt{.layers = 1, .width = 32, .vocab = 64, .mixer = ln::Attention{.heads = 2}};

#ifdef FIXED
auto list = ln::presets(ln::preset<gpt>("gpt"));
#else
auto list = ln::presets();
#endif
