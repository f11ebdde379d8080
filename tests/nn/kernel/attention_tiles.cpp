// SPDX-License-Identifier: Apache-2.0
#include "lierne/nn/kernel/attention_tiles.hpp"

#include <doctest/doctest.h>

#include <atomic>

#include "nn/kernel/against.hpp"

using namespace lierne;
using kernel::detail::AttentionTiles;
using kernel::detail::Range;
using kernel::detail::TileMemory;

static_assert(AttentionTiles::longest % AttentionTiles::largest == 0 && AttentionTiles::shortest % AttentionTiles::largest == 0);

namespace {

AttentionTiles tiles(std::int64_t batch, std::int64_t length, std::int64_t keys, Tensor const& first = {}, std::int64_t block = 0) {
  return {at::empty({batch, length, 2 * keys, 4}), at::empty({batch, length, keys, 4}), first, block};
}

}  // namespace

TEST_CASE("first keys and what a row sees of a chunk, against the definition") {
  auto const first = at::tensor({0, 0, 2, 1, 4, 0, 6, 3, 0, 1, 1, 0, 3, 5, 5, 7}, at::TensorOptions().dtype(int64)).view({2, 8});
  for (std::int64_t const block : {0, 3, 8, 20}) {
    for (auto const& rows : {Tensor(), first, first.narrow(0, 1, 1).contiguous()}) {
      auto const s = tiles(2, 8, 1, rows, block);
      for (std::int64_t b = 0; b < 2; ++b) {
        auto const sees = [&](std::int64_t t, std::int64_t k) {
          bool const in_block = block == 0 || t / block == k / block;
          return in_block && k <= t && (!rows.defined() || k >= rows[rows.size(0) == 1 ? 0 : b][t].item<std::int64_t>());
        };
        for (std::int64_t t = 0; t < 8; ++t) {
          std::int64_t lowest = 0;
          while (!sees(t, lowest)) ++lowest;
          CHECK(s.first(b, t) == lowest);
          for (Range const chunk : {Range{0, 8}, Range{2, 5}, Range{5, 6}}) {
            auto const seen = s.seen(b, t, chunk);
            for (auto k = chunk.begin; k < chunk.end; ++k) {
              CHECK((k - chunk.begin >= seen.begin && k - chunk.begin < seen.end) == sees(t, k));
            }
            CHECK(seen.begin >= 0);
            CHECK(seen.end <= chunk.size());
          }
        }
        for (Range const queries : {Range{0, 3}, Range{3, 8}, Range{6, 7}}) {
          auto lowest = s.first(b, queries.begin);
          for (auto t = queries.begin; t < queries.end; ++t) lowest = std::min(lowest, s.first(b, t));
          CHECK(s.first(b, queries) == lowest);
        }
      }
    }
  }
}

TEST_CASE("spans cover the sequence, the smaller the fewer the heads, and no thread count shows in them") {
  for (auto const& [batch, keys] : {std::pair{1, 1}, {8, 2}, {64, 8}}) {
    for (std::int64_t const length : {1, 31, 128, 129, 511, 512, 5000}) {
      auto const s = tiles(batch, length, keys);
      CHECK(s.span % s.tile == 0);
      CHECK(s.span >= AttentionTiles::shortest);
      CHECK(s.span <= AttentionTiles::longest);
      CHECK(s.span_at(0).begin == 0);
      CHECK(s.span_at(s.spans - 1).end == length);
      for (std::int64_t i = 1; i < s.spans; ++i) CHECK(s.span_at(i).begin == s.span_at(i - 1).end);
    }
  }
  CHECK(tiles(1, 2048, 1).spans == 16);
  CHECK(tiles(1, 256, 1).tile == AttentionTiles::smallest);
  CHECK(tiles(1, 8192, 1).tile == AttentionTiles::largest);
  CHECK(tiles(1, 8192, 1, {}, 256).tile == AttentionTiles::smallest);  // long sequences of short rows
  CHECK(tiles(8, 512, 2).spans == 1);
}

TEST_CASE("every unit is run once, with memory of its thread's own") {
  for (int const threads : {1, 3}) {
    auto const before = at::get_num_threads();
    at::set_num_threads(threads);
    std::vector<std::atomic<int>> runs(1000);
    std::atomic<int> torn{0};
    kernel::detail::for_each_unit<float>(1000, [] { return TileMemory<float>(64); }, [&](std::int64_t unit, float* memory) {
      std::fill_n(memory, 64, static_cast<float>(unit));
      ++runs[static_cast<std::size_t>(unit)];
      for (int i = 0; i < 64; ++i) torn += memory[i] != static_cast<float>(unit);
    });
    at::set_num_threads(before);
    for (auto const& run : runs) CHECK(run == 1);
    CHECK(torn == 0);
  }
  kernel::detail::for_each_unit<float>(0, [] { return 0; }, [](std::int64_t, int) { FAIL("there is no unit"); });
}
