// SPDX-License-Identifier: Apache-2.0
// What a CUDA thread does, run on the host: every element of every parameter once, by its own numbers.
#include "lierne/optim/kernel/cuda_table.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "lierne/optim/adamw.hpp"

using namespace lierne;

namespace {

// w <- w - scale, and the field counts visits.
struct Count {
  using pipe_role = StageRole;
  using fields = Fields<"visits">;
  double scale = 1;

  constexpr auto coefficients(auto const&) const { return std::array{scale}; }
  template <class V>
  static constexpr void element(auto const& numbers, Element<V>& at, V& visits) {
    visits = visits + V(1);
    at.direction = V(numbers[0]);
  }
};
using Rule = Applied<decltype(recipe("count", 1.0, Count{}))>;
using Table = CudaTableOf<Rule, float>;
static_assert(sizeof(Table) <= 32764 && std::is_trivially_copyable_v<Table>);
static_assert(sizeof(CudaTableOf<Applied<decltype(amsgrad())>, double>) <= 32764);
static_assert(Table::most_entries > 500);

struct Arrays {
  std::vector<float> memory;
  std::int64_t size, offset;
  std::vector<double> numbers;

  Arrays(std::int64_t elements, std::int64_t shift, double scale)
      : memory(static_cast<std::size_t>(3 * (elements + 8)), 0.0f), size(elements), offset(shift), numbers{scale, 1.0} {}
  float* at(int array) {
    auto const aligned = (reinterpret_cast<std::uintptr_t>(memory.data()) + 15) / 16 * 16;
    return reinterpret_cast<float*>(aligned) + array * ((size + 7) / 4 * 4) + offset;
  }
  CudaParameter parameter() { return {at(0), at(1), {at(2)}, size, numbers.data()}; }
};

// Runs all launches; how many there were.
int run(std::vector<CudaParameter> const& parameters, float const* device_numbers = nullptr) {
  int launches = 0;
  for_each_cuda_table<Rule, float>(parameters, device_numbers, [&](Table const& table) {
    ++launches;
    for (std::int32_t block = 0; block < table.blocks; ++block) {
      for (std::int32_t thread = 0; thread < Table::threads; ++thread) run_cuda_thread<Rule, float>(table, block, thread);
    }
  });
  return launches;
}

bool visited_once(Arrays& arrays, float change) {
  bool good = true;
  for (std::int64_t i = 0; i < arrays.size; ++i) good = good && arrays.at(2)[i] == 1 && arrays.at(0)[i] == -change;
  return good;
}

}  // namespace

TEST_CASE("every element is visited once, aligned or not, at sizes around a vector, a block and several blocks") {
  std::vector<Arrays> all;
  for (std::int64_t size : {1, 3, 4, 5, 1023, 1024, 1025, 8191, 8192, 8193, 40000}) {
    for (std::int64_t offset = 0; offset < 4; ++offset) all.emplace_back(size, offset, 0.25 * static_cast<double>(offset + 1));
  }
  std::vector<CudaParameter> parameters;
  for (auto& arrays : all) parameters.push_back(arrays.parameter());
  run(parameters);
  for (auto& arrays : all) {
    CAPTURE(arrays.size);
    CAPTURE(arrays.offset);
    CHECK(visited_once(arrays, static_cast<float>(arrays.numbers[0])));
    CHECK(arrays.at(0)[arrays.size] == 0);  // nothing behind the end
  }
}

TEST_CASE("more parameters, or more kinds of calls, than one launch takes") {
  std::vector<Arrays> all;
  for (int i = 0; i < 1500; ++i) all.emplace_back(1 + i % 7, i % 3, 1 + i % 40);
  std::vector<double> shared{3, 1};
  std::vector<CudaParameter> alike, different;
  for (auto& arrays : all) {
    different.push_back(arrays.parameter());
    alike.push_back(different.back());
    alike.back().numbers = shared.data();
  }
  CHECK(run(alike) == static_cast<int>((all.size() + Table::most_entries - 1) / Table::most_entries));
  for (auto& arrays : all) CHECK(visited_once(arrays, 3));
  for (auto& arrays : all) std::fill(arrays.memory.begin(), arrays.memory.end(), 0.0f);
  CHECK(run(different) == (1500 + Table::most_groups - 1) / Table::most_groups);
  for (auto& arrays : all) CHECK(visited_once(arrays, static_cast<float>(arrays.numbers[0])));
}

TEST_CASE("numbers on the device: one row a parameter, also behind an empty one and in later launches") {
  std::vector<Arrays> all;
  std::vector<float> rows;
  std::vector<CudaParameter> parameters;
  for (int i = 0; i < 1200; ++i) all.emplace_back(i % 5, 0, 0.0);
  for (auto& arrays : all) {
    rows.insert(rows.end(), {static_cast<float>(rows.size()), 1.0f});
    parameters.push_back(arrays.parameter());
    parameters.back().numbers = nullptr;
  }
  CHECK(run(parameters, rows.data()) > 1);
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(visited_once(all[i], rows[2 * i]));
}

TEST_CASE("nothing to do, no launch") {
  CHECK(run({}) == 0);
  Arrays empty(0, 0, 1);
  CHECK(run({empty.parameter()}) == 0);
}
