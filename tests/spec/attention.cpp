// SPDX-License-Identifier: Apache-2.0
#include "lierne/spec/attention.hpp"

#include <doctest/doctest.h>

using lierne::Attention;
using lierne::QkNorm;
using lierne::Role;

static_assert(lierne::Fills<Attention, Role::mixer>);
static_assert(Attention{.heads = 4}.keys() == 4 && Attention{.heads = 4, .kv_heads = 2}.keys() == 2);
static_assert(Attention{.heads = 32}.head_width(4096) == 128);
static_assert(Attention{.heads = 32, .head_size = 64}.head_width(4096) == 64);
static_assert(lierne::llama4_temperature == lierne::QueryTemperature{.scale = 0.1, .floor = 8192});
static_assert(Attention{.bias = true} != Attention{} && Attention{.qk_norm = QkNorm::weighted} != Attention{});
static_assert(Attention{.temperature = lierne::llama4_temperature} != Attention{}, "off by default");
static_assert(Attention{.heads = 4} != Attention{.heads = 4, .kv_heads = 4}, "equal in meaning, not as records");

TEST_CASE("parameters are the elements of the four matrices, one by one") {
  for (int heads : {1, 2, 4, 8}) {
    for (int keys : {1, 2, 4, 8}) {
      if (heads % keys != 0) continue;
      int const width = 48;
      int const d = width / heads;
      std::int64_t count = 0;
      for (int row = 0; row < heads * d; ++row) count += width;     // wq [H·d, D]
      for (int row = 0; row < keys * d; ++row) count += 2 * width;  // wk, wv [KV·d, D]
      for (int row = 0; row < width; ++row) count += heads * d;     // wo [D, H·d]
      CHECK(Attention{.heads = heads, .kv_heads = keys}.parameters(width) == count);
    }
  }
}

TEST_CASE("options count what they add, element by element") {
  for (int size : {0, 4, 20}) {
    for (bool bias : {false, true}) {
      for (auto norm : {QkNorm::none, QkNorm::weighted, QkNorm::weightless}) {
        int const width = 48, heads = 6, keys = 2, d = size == 0 ? width / heads : size;
        std::int64_t count = 0;
        for (int row = 0; row < heads * d; ++row) count += width + (bias ? 1 : 0);
        for (int row = 0; row < 2 * keys * d; ++row) count += width + (bias ? 1 : 0);
        for (int row = 0; row < width; ++row) count += heads * d;
        for (int i = 0; i < d; ++i) count += norm == QkNorm::weighted ? 2 : 0;
        Attention const attention{.heads = heads, .kv_heads = keys, .head_size = size, .bias = bias, .qk_norm = norm};
        CHECK(attention.parameters(width) == count);
        CHECK(attention.sequence_flops(width, 12) == 12.0 * heads * d * 12);
      }
    }
  }
}

TEST_CASE("sequence_flops counts two products, forward and twice backward, two operations a multiply-add") {
  int const width = 64, sequence = 12;
  Attention const attention{.heads = 4, .kv_heads = 2};
  double operations = 0;
  for (int head = 0; head < attention.heads; ++head) {
    for (int key = 0; key < sequence; ++key) operations += 2.0 * 2 * attention.head_width(width);  // q·k and p·v
  }
  CHECK(attention.sequence_flops(width, sequence) == 3 * operations);
}

TEST_CASE("counts of giant layers do not overflow") {
  CHECK(Attention{.heads = 1 << 14}.parameters(1 << 20) == std::int64_t{4} << 40);
}

TEST_CASE("the name gives queries and keys, and what differs from the defaults") {
  CHECK(Attention{.heads = 8, .kv_heads = 2}.name() == "attention 8/2");
  CHECK(Attention{.heads = 8}.name() == "attention 8/8");
  CHECK(Attention{.heads = 16, .kv_heads = 8, .head_size = 128, .qk_norm = QkNorm::weighted}.name() ==
        "attention 16/8 size 128 weighted qk norm");
  CHECK(Attention{.heads = 14, .kv_heads = 2, .bias = true}.name() == "attention 14/2 bias");
  CHECK(Attention{.heads = 40, .kv_heads = 8, .qk_norm = QkNorm::weightless, .temperature = lierne::llama4_temperature}
            .name() == "attention 40/8 weightless qk norm temperature 0.1 (8192)");
}
