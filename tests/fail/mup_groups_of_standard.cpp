// SPDX-License-Identifier: Apache-2.0
// expect: mup_groups: the record's scaling must be MuP \(write Decoder
#include "lierne/optim/adamw.hpp"
#include "lierne/optim/mup.hpp"
#include "lierne/spec/decoder.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .scaling = ln::MuP{.base_width = 64}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192};
#endif
auto rule = ln::grouped(ln::adamw(), ln::mup_groups(ln::times_rate, gpt));
