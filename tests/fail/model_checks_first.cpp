// SPDX-License-Identifier: Apache-2.0
// expect: Model: mixer\.heads must divide width \(choose heads so that width % heads == 0, or give mixer\.head_size\)
#include "lierne/nn/model.hpp"

namespace ln = lierne;

#ifdef FIXED
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.heads = 8}};
#else
constexpr ln::Decoder gpt{.layers = 8, .width = 512, .vocab = 8192, .mixer = ln::Attention{.heads = 12}};
#endif
ln::Model<gpt> model;
