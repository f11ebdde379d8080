// SPDX-License-Identifier: Apache-2.0
// The drivers of rules with stored forms: one pass that decodes, computes and encodes block by block, or whole tensors.
#pragma once

#include "lierne/optim/kernel/eager.hpp"
#include "lierne/optim/kernel/state_layout.hpp"

namespace lierne {

/// One parameter in a step of a rule with stored forms.
struct StoredStep {
  StoredTensor weight;
  StoredTensor gradient;
  std::vector<StoredTensor> fields;   ///< the rule's
  std::vector<Tensor>* state;         ///< the rule's fields are its first tensors
  double const* numbers;
  Positions positions;

  /// In which dtype the rule computes.
  Dtype dtype() const { return weight.data.scalar_type() == float64 ? float64 : float32; }
};

inline StoredStep stored_step(StateLayout const& layout, Slot const& slot, ParameterStep const& step, std::int64_t calls) {
  bool const halves = step.gradient.scalar_type() == bfloat16;
  StoredStep stored{.weight = layout.weight(slot, *step.fields, calls),
                    .gradient = {.form = halves ? Storage::bf16_nearest : Storage::plain, .data = step.gradient},
                    .fields = {},
                    .state = step.fields,
                    .numbers = step.numbers,
                    .positions = Positions::of(slot)};
  for (std::size_t k = 0; k < layout.beside.size(); ++k) stored.fields.push_back(layout.field(slot, *step.fields, k, calls));
  return stored;
}

namespace detail {

template <class T>
struct StoredArrays {
  StoredArray<T> weight, gradient;
  std::vector<StoredArray<T>> fields;
  T const* numbers;
  Positions const* positions;
  bool blocks;

  StoredArrays(StoredStep const& step, T const* own_numbers)
      : weight(step.weight), gradient(step.gradient), fields(step.fields.begin(), step.fields.end()), numbers(own_numbers),
        positions(&step.positions),
        blocks(std::any_of(step.fields.begin(), step.fields.end(),
                           [](auto const& field) { return field.form == Storage::eight_bit_blocks; })) {}
};

// Elements [begin, begin + size), at most a block of them. Rooms lie a little more than 4 KiB apart: at exactly that distance
// they would fall on the same lines of the first cache.
template <class T>
void run_stored_block(Passes const& passes, StoredArrays<T> const& arrays, std::int64_t begin, std::int64_t size) {
  alignas(64) T room[Passes::most_fields + 2][StoredArray<T>::most + 64 / sizeof(T)];
  auto const& positions = *arrays.positions;
  FusedArrays<T> open{arrays.weight.open(positions, begin, size, room[0]), arrays.gradient.open(positions, begin, size, room[1]),
                      {}, arrays.numbers};
  for (std::size_t k = 0; k < arrays.fields.size(); ++k) {
    open.fields[k] = arrays.fields[k].open(positions, begin, size, room[k + 2]);
  }
  run_part(passes, open, 0, size);
  arrays.weight.close(positions, begin, size, open.weight);
  for (std::size_t k = 0; k < arrays.fields.size(); ++k) arrays.fields[k].close(positions, begin, size, open.fields[k]);
}

template <class T>
void run_fused_stored(Passes const& passes, std::span<StoredStep const* const> steps) {
  auto const number_count = passes.number_count();
  std::vector<T> numbers(steps.size() * number_count);
  std::vector<StoredArrays<T>> arrays;
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    T* const own_numbers = numbers.data() + i * number_count;
    std::copy_n(steps[i]->numbers, number_count, own_numbers);
    auto const& entry = arrays.emplace_back(*steps[i], own_numbers);
    for_each_uncut(*entry.positions, entry.blocks, 0, entry.positions->elements(), 16384,
                   [&](std::int64_t begin, std::int64_t size) { chunks.push_back({static_cast<std::int64_t>(i), begin, size}); });
  }
  for_each_chunk(chunks, [&](Chunk const& chunk, std::size_t) {
    auto const& entry = arrays[static_cast<std::size_t>(chunk.array)];
    for_each_uncut(*entry.positions, entry.blocks, chunk.begin, chunk.begin + chunk.size, StoredArray<T>::most,
                   [&](std::int64_t begin, std::int64_t size) { run_stored_block(passes, entry, begin, size); });
  });
}

}  // namespace detail

/// One pass over memory for all parameters together, in place: every block is decoded, run through the rule's own pass and
/// encoded while it is in the first cache. CPU.
/// Numerics: an element's result depends on its own inputs, its place in the whole parameter, and in 8-bit blocks on its
/// block: not on shards, place in a buffer or threads.
inline void run_fused_stored(Passes const& passes, std::span<StoredStep const> steps) {
  std::vector<StoredStep const*> singles, doubles;
  for (auto const& step : steps) (step.dtype() == float32 ? singles : doubles).push_back(&step);
  if (!singles.empty()) detail::run_fused_stored<float>(passes, singles);
  if (!doubles.empty()) detail::run_fused_stored<double>(passes, doubles);
}

/// Whole tensors, on any device: decodes the parameters, calls `run(plain steps, first, count)` on them, and encodes what
/// it left. A batch holds 16M elements, or one parameter, so that few lie decoded at a time.
template <class Run>
void run_decoded(std::span<StoredStep const> steps, Run const& run) {
  constexpr std::int64_t most = std::int64_t{1} << 24;
  for (std::size_t first = 0; first < steps.size();) {
    std::vector<ParameterStep> plain;
    std::vector<std::vector<Tensor>> fields;
    fields.reserve(steps.size() - first);
    std::int64_t size = 0;
    std::size_t end = first;
    while (end < steps.size() && (end == first || size + steps[end].positions.elements() <= most)) {
      auto const& step = steps[end++];
      size += step.positions.elements();
      auto& own = fields.emplace_back();
      for (auto const& field : step.fields) own.push_back(decoded(field, step.positions, step.dtype()));
      plain.push_back({decoded(step.weight, step.positions, step.dtype()),
                       decoded(step.gradient, step.positions, step.dtype()), &own, step.numbers});
    }
    run(plain, first);
    for (std::size_t i = 0; i < plain.size(); ++i) {
      auto const& step = steps[first + i];
      encode(step.weight, step.positions, plain[i].weight);
      for (std::size_t k = 0; k < step.fields.size(); ++k) {
        if (step.fields[k].form == Storage::plain) {
          (*step.state)[k] = fields[i][k];
        } else {
          encode(step.fields[k], step.positions, fields[i][k]);
        }
      }
    }
    first = end;
  }
}

/// A step of parameters with stored forms: by blocks, where they lie on the CPU and `by_blocks` says so; else decoded.
/// `run(plain steps, index of the first)` runs decoded ones.
template <class Run>
void run_stored(Passes const& passes, std::vector<StoredStep> const& steps, bool by_blocks, Run const& run) {
  std::vector<StoredStep> here, elsewhere;
  for (auto const& step : steps) (by_blocks && step.weight.data.is_cpu() ? here : elsewhere).push_back(step);
  run_fused_stored(passes, here);
  run_decoded(elsewhere, run);
  for (auto const& step : steps) step.weight.data.unsafeGetTensorImpl()->bump_version();
}

}  // namespace lierne
