// SPDX-License-Identifier: Apache-2.0
// What one launch of a rule's CUDA kernel is told, and what each of its threads does. Sees no CUDA header.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "lierne/optim/kernel/lane.hpp"
#include "lierne/optim/rule.hpp"

namespace lierne {

/// One parameter in a step on a GPU. The arrays lie on the device and have one dtype, which the launch knows.
struct CudaParameter {
  static constexpr std::size_t most_fields = 16;

  void* weight;
  void const* gradient;
  std::array<void*, most_fields> fields;
  std::int64_t size;      ///< elements
  double const* numbers;  ///< the rule's for this call, on the host; parameters whose calls are alike share them
};

/// The argument of one launch: as many parameters as fit. It travels with the launch, so that nothing is copied to the
/// device beforehand, and a captured graph holds its own.
template <class T, int field_count, int number_count>
struct CudaTable {
  static constexpr int threads = 256;
  static constexpr std::int32_t chunk = 8192;  ///< elements of one block: eight rounds of 16 bytes a thread
  static constexpr int most_groups = 16;
  static constexpr std::size_t most_bytes = 32000;  // a kernel takes 32764 bytes of arguments (CUDA 12.1)

  struct Entry {
    T* weight;
    T const* gradient;
    T* fields[field_count + 1];  // one more: an array may not be empty
    std::int64_t size;
    std::int32_t first_block;
    std::int32_t row;  // of the numbers
    bool aligned;      // all arrays to 16 bytes
  };

  static constexpr std::size_t numbers_bytes = most_groups * number_count * sizeof(T);
  static_assert(numbers_bytes < most_bytes / 2, "lierne_cuda_rules: a rule may have at most 125 numbers (split it)");
  static constexpr std::size_t most_entries = (most_bytes - numbers_bytes) / sizeof(Entry);

  T const* device_numbers;  ///< rows of numbers on the device; null: those below
  T numbers[most_groups * number_count + 1];
  std::int32_t blocks;
  std::int32_t count;
  Entry entries[most_entries];
};

/// The table of a rule's launches; `Node` is the whole rule, with `Apply`.
template <Stage Node, class T>
using CudaTableOf = CudaTable<T, Layout<Node>::fields, Layout<Node>::numbers>;

/// What a parameter's numbers follow from on the device.
struct CudaCalls {
  std::int64_t* calls;  ///< finished ones; grows by one with each step
  Multipliers multipliers;
  double* carried = nullptr;  ///< the rule's carried numbers, on the device
};

/// The argument of a launch that writes numbers. The rule travels as bytes: nvcc cannot spell the types of all rules.
template <std::size_t rule_bytes>
struct CudaNumbersTable {
  static constexpr int threads = 128;
  static constexpr std::size_t most_entries = (32000 - rule_bytes) / sizeof(CudaCalls);

  alignas(16) std::byte rule[rule_bytes];
  double const* clock;
  double const* norm;
  void* numbers;
  std::int32_t count;
  CudaCalls entries[most_entries];
};

namespace detail {

template <class T, int width>
struct alignas(width * sizeof(T)) CudaVector {
  T lane[width];

  static constexpr CudaVector& at(T* address) { return *reinterpret_cast<CudaVector*>(address); }
  static constexpr CudaVector const& at(T const* address) { return *reinterpret_cast<CudaVector const*>(address); }
};

// All stages on `width` neighbours: every array is read once and written once.
template <Stage Node, int width, class T, class Entry>
constexpr void run_cuda_elements(Entry const& entry, T const* numbers, std::int64_t i) {
  using Vector = CudaVector<T, width>;
  constexpr int field_count = Layout<Node>::fields;
  Vector weight = Vector::at(entry.weight + i);
  Vector const gradient = Vector::at(entry.gradient + i);
  Vector fields[field_count + 1];
  for (int k = 0; k < field_count; ++k) fields[k] = Vector::at(entry.fields[k] + i);
  for (int lane = 0; lane < width; ++lane) {
    Element<Lane<T>> at{weight.lane[lane], gradient.lane[lane], {}};
    Lane<T> values[field_count + 1];
    for (int k = 0; k < field_count; ++k) values[k] = fields[k].lane[lane];
    run_stages<Node>(numbers, at, values);
    weight.lane[lane] = at.weight.value;
    for (int k = 0; k < field_count; ++k) fields[k].lane[lane] = values[k].value;
  }
  Vector::at(entry.weight + i) = weight;
  for (int k = 0; k < field_count; ++k) Vector::at(entry.fields[k] + i) = fields[k];
}

}  // namespace detail

/// What thread `thread` of block `block` does. constexpr, so that nvcc (--expt-relaxed-constexpr) calls it on the device.
/// Numerics: those of `Lane<T>`, whatever the place of an element in its array.
template <Stage Node, class T>
constexpr void run_cuda_thread(CudaTableOf<Node, T> const& table, std::int32_t block, std::int32_t thread) {
  using Table = CudaTableOf<Node, T>;
  std::int32_t low = 0, high = table.count;  // the last entry whose first block is not behind this one
  while (high - low > 1) {
    std::int32_t const middle = (low + high) / 2;
    (table.entries[middle].first_block <= block ? low : high) = middle;
  }
  auto const& entry = table.entries[low];
  constexpr int number_count = Layout<Node>::numbers;
  T const* const row = (table.device_numbers ? table.device_numbers : table.numbers) + entry.row * number_count;
  T numbers[number_count + 1];
  for (int k = 0; k < number_count; ++k) numbers[k] = row[k];
  constexpr int width = 16 / sizeof(T);
  std::int64_t const begin = static_cast<std::int64_t>(block - entry.first_block) * Table::chunk;
  std::int64_t const end = entry.size - begin < Table::chunk ? entry.size : begin + Table::chunk;
  std::int64_t const whole = entry.aligned ? end - (end - begin) % width : begin;
  for (std::int64_t i = begin + thread * width; i < whole; i += Table::threads * width) {
    detail::run_cuda_elements<Node, width>(entry, numbers, i);
  }
  for (std::int64_t i = whole + thread; i < end; i += Table::threads) {
    detail::run_cuda_elements<Node, 1>(entry, numbers, i);
  }
}

/// What thread `index` of all threads does: the numbers of one parameter's call, which it counts.
/// Numerics: in double, as on the host; the device's `pow` may differ from the host's in the last digit.
template <Stage Node, class T>
constexpr void write_cuda_numbers(CudaNumbersTable<sizeof(Node)> const& table, std::int32_t index) {
  if (index >= table.count) return;
  auto const& entry = table.entries[index];
  Call<> const call{.calls = *entry.calls,
                    .rate = table.clock[0] * entry.multipliers.rate,
                    .factor = table.clock[1],
                    .norm = table.norm != nullptr ? *table.norm : 0,
                    .multipliers = entry.multipliers};
  constexpr int number_count = Layout<Node>::numbers;
  double numbers[number_count + 1];
  write_numbers(*reinterpret_cast<Node const*>(table.rule), call, numbers, entry.carried);
  T* const row = static_cast<T*>(table.numbers) + index * number_count;
  for (int k = 0; k < number_count; ++k) row[k] = static_cast<T>(numbers[k]);
  *entry.calls = call.calls + 1;
}

/// Cuts parameters into tables of calls and calls `launch(table)` for each. Host.
template <Stage Node, class T, class Launch>
void for_each_numbers_table(std::span<CudaCalls const> parameters, void const* rule, double const* clock,
                            double const* norm, T* numbers, Launch&& launch) {
  static_assert(std::is_trivially_copyable_v<Node>, "lierne_cuda_rules: a rule must be trivially copyable to be CAPTURABLE");
  using Table = CudaNumbersTable<sizeof(Node)>;
  for (std::size_t begin = 0; begin < parameters.size(); begin += Table::most_entries) {
    Table table;
    std::memcpy(table.rule, rule, sizeof(Node));
    table.clock = clock;
    table.norm = norm;
    table.numbers = numbers + begin * Layout<Node>::numbers;
    auto const part = parameters.subspan(begin, std::min(Table::most_entries, parameters.size() - begin));
    table.count = static_cast<std::int32_t>(part.size());
    std::copy(part.begin(), part.end(), table.entries);
    launch(table);
  }
}

/// Cuts parameters into tables and calls `launch(table)` for each. Host. With `device_numbers`, the i-th parameter's
/// numbers are its i-th row, and `numbers` of the parameters are not read.
template <Stage Node, class T, class Launch>
void for_each_cuda_table(std::span<CudaParameter const> parameters, T const* device_numbers, Launch&& launch) {
  using Table = CudaTableOf<Node, T>;
  constexpr int number_count = Layout<Node>::numbers, field_count = Layout<Node>::fields;
  Table table;
  std::array<double const*, Table::most_groups> groups;
  std::int32_t group_count = 0;
  auto const begin_table = [&](std::size_t first) {
    table.device_numbers = device_numbers ? device_numbers + first * number_count : nullptr;
    table.blocks = table.count = group_count = 0;
  };
  begin_table(0);
  std::size_t first = 0;  // the parameter of row 0 of the table's device numbers
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto const& parameter = parameters[i];
    if (parameter.size == 0) continue;
    auto group = static_cast<std::int32_t>(std::find(groups.begin(), groups.begin() + group_count, parameter.numbers) - groups.begin());
    std::int64_t const blocks = (parameter.size + Table::chunk - 1) / Table::chunk;
    bool const full = static_cast<std::size_t>(table.count) == Table::most_entries || table.blocks + blocks > INT32_MAX ||
                      (!device_numbers && group == Table::most_groups);
    if (full) {
      launch(table);
      first = i;
      begin_table(first);
      group = 0;
    }
    if (!device_numbers && group == group_count) {
      groups[static_cast<std::size_t>(group_count++)] = parameter.numbers;
      for (int k = 0; k < number_count; ++k) table.numbers[group * number_count + k] = static_cast<T>(parameter.numbers[k]);
    }
    auto& entry = table.entries[table.count++];
    entry.weight = static_cast<T*>(parameter.weight);
    entry.gradient = static_cast<T const*>(parameter.gradient);
    auto bits = reinterpret_cast<std::uintptr_t>(parameter.weight) | reinterpret_cast<std::uintptr_t>(parameter.gradient);
    for (std::size_t k = 0; k < field_count; ++k) {
      entry.fields[k] = static_cast<T*>(parameter.fields[k]);
      bits |= reinterpret_cast<std::uintptr_t>(parameter.fields[k]);
    }
    entry.size = parameter.size;
    entry.first_block = table.blocks;
    entry.row = device_numbers ? static_cast<std::int32_t>(i - first) : group;
    entry.aligned = bits % 16 == 0;
    table.blocks += static_cast<std::int32_t>(blocks);
  }
  if (table.count > 0) launch(table);
}

}  // namespace lierne
