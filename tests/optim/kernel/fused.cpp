// SPDX-License-Identifier: Apache-2.0
// The fused path: bitwise the same at every offset, shard, size and number of threads.
#include "lierne/optim/kernel/fused.hpp"

#include <doctest/doctest.h>

#include "optim/kernel/rules.hpp"
#include "optim/kernel/values.hpp"

using namespace lierne;

namespace {

struct Arrays {
  Tensor weight, gradient;
  std::vector<Tensor> fields;

  Arrays(std::int64_t size, std::size_t field_count, Dtype dtype) {
    auto const wave = [&](std::int64_t start) {
      auto tensor = at::empty({size}, at::TensorOptions().dtype(float64));
      for (std::int64_t i = 0; i < size; ++i) tensor.mutable_data_ptr<double>()[i] = test::wave<double>(i + start);
      return tensor.to(dtype);
    };
    weight = wave(0);
    gradient = wave(1000);
    for (std::size_t k = 0; k < field_count; ++k) fields.push_back(wave(2000 * static_cast<std::int64_t>(k + 1)).abs());
  }
  // The elements [begin, end), copied to `offset` elements behind the start of a new buffer.
  Arrays part(std::int64_t begin, std::int64_t end, std::int64_t offset) const {
    Arrays copy = *this;
    auto const moved = [&](Tensor const& whole) {
      auto const buffer = at::empty({end - begin + offset + 8}, whole.options());
      return buffer.slice(0, offset, offset + end - begin).copy_(whole.slice(0, begin, end));
    };
    copy.weight = moved(weight);
    copy.gradient = moved(gradient);
    for (auto& field : copy.fields) field = moved(field);
    return copy;
  }
};

class Step {
 public:
  template <class Rule>
  explicit Step(Rule const& rule) : passes_(new PassesOf<Rule>(rule)), numbers_(passes_->number_count()) {
    passes_->write_numbers(Call<>{.calls = 3, .rate = 0.01, .factor = 0.5, .norm = 3}, numbers_.data());
  }
  std::size_t fields() const { return passes_->fields().size(); }
  void operator()(std::vector<Arrays*> const& all) const {
    std::vector<ParameterStep> steps;
    for (auto* arrays : all) steps.push_back({arrays->weight, arrays->gradient, &arrays->fields, numbers_.data()});
    run_fused(*passes_, steps);
  }
  void operator()(Arrays& arrays) const { (*this)(std::vector<Arrays*>{&arrays}); }

 private:
  std::unique_ptr<Passes const> passes_;
  std::vector<double> numbers_;
};

bool same(Arrays const& a, Arrays const& b) {
  bool equal = at::equal(a.weight, b.weight);
  for (std::size_t k = 0; k < a.fields.size(); ++k) equal = equal && at::equal(a.fields[k], b.fields[k]);
  return equal;
}

}  // namespace

static_assert(Passes::most_fields >= 8);

TEST_CASE("any offset in a buffer gives the same bits") {
  test::for_each_rule([](auto const& rule) {
    CAPTURE(name(rule));
    Step const step(rule);
    for (auto dtype : {float32, float64}) {
      Arrays const start(203, step.fields(), dtype);
      auto expected = start.part(0, 203, 0);
      step(expected);
      CHECK_FALSE(same(expected, start));
      for (std::int64_t offset = 0; offset < 64; ++offset) {
        auto moved = start.part(0, 203, offset);
        step(moved);
        CHECK(same(moved, expected));
      }
    }
  });
}

TEST_CASE("any cut into shards gives the same bits") {
  Step const step(adopt() | decay(0.1, times_rate));
  Arrays const start(203, step.fields(), float32);
  auto expected = start.part(0, 203, 0);
  step(expected);
  for (std::int64_t shards = 1; shards <= 8; ++shards) {
    std::vector<Arrays> parts;
    std::vector<Arrays*> pointers;
    for (std::int64_t i = 0; i < shards; ++i) parts.push_back(start.part(203 * i / shards, 203 * (i + 1) / shards, i));
    for (auto& part : parts) pointers.push_back(&part);
    step(pointers);
    for (std::int64_t i = 0; i < shards; ++i) {
      CHECK(same(parts[static_cast<std::size_t>(i)], expected.part(203 * i / shards, 203 * (i + 1) / shards, 0)));
    }
  }
}

TEST_CASE("any number of threads gives the same bits, for large and small arrays together") {
  Step const step(clip_norm(1) | adamw() | decay(0.1, times_rate));
  auto const run = [&](int threads) {
    at::set_num_threads(threads);
    std::vector<Arrays> all;
    std::vector<Arrays*> pointers;
    for (std::int64_t size : {300001, 1, 64, 100000, 7, 0}) all.emplace_back(size, step.fields(), size == 64 ? float64 : float32);
    for (auto& arrays : all) pointers.push_back(&arrays);
    step(pointers);
    return all;
  };
  auto const threads = at::get_num_threads();
  auto const alone = run(1), together = run(2);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < alone.size(); ++i) CHECK(same(alone[i], together[i]));
}

TEST_CASE("nothing beyond the end of an array is written, at every length of the tail") {
  Step const step(adamw());
  for (std::int64_t size = 0; size <= 40; ++size) {
    auto const buffer = at::full({64}, 7.0f);
    Arrays arrays(size, 2, float32);
    auto const weight = buffer.slice(0, 3, 3 + size).copy_(arrays.weight);
    auto expected = arrays.part(0, size, 0);
    arrays.weight = weight;
    step(arrays);
    CHECK(at::equal(buffer.slice(0, 0, 3), at::full({3}, 7.0f)));
    CHECK(at::equal(buffer.slice(0, 3 + size), at::full({61 - size}, 7.0f)));
    step(expected);
    CHECK(same(arrays, expected));
  }
}
