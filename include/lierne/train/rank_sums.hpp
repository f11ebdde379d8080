// SPDX-License-Identifier: Apache-2.0
// Numbers that the processes of a run must agree on: sums, maxima, and what the first one says.
#pragma once

#include <cstdint>
#include <span>

#include "lierne/core/compiled.hpp"
#include "lierne/mesh/mesh.hpp"

#if LIERNE_BODIES
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// Small reductions over a mesh. Every process of the axis that is named must call them, in the same order.
class RankSums {
 public:
  RankSums() = default;
  RankSums(Mesh const& mesh, Device device) : mesh_(&mesh), device_(device) {}

  /// Over the ranks that hold different rows of a batch.
  double over_data(double value) const;
  double over_all(double value) const;
  /// In place, over all ranks: sums of the first, maxima of the second.
  void over_all(std::span<double> sums, std::span<double> maxima) const;
  /// What the first rank says.
  std::int64_t from_first(std::int64_t value) const;

 private:
  Mesh const* mesh_ = nullptr;
  Device device_ = at::kCPU;
};

#if LIERNE_BODIES
namespace detail {

inline Tensor one_number(double value, Device device) {
  return at::full({1}, value, at::TensorOptions().dtype(float64)).to(device);
}

}  // namespace detail

LIERNE_INLINE double RankSums::over_data(double value) const {
  auto const sum = detail::one_number(value, device_);
  (*mesh_)[Axis::replicate].sum(sum);
  (*mesh_)[Axis::shard].sum(sum);
  return sum.item<double>();
}

LIERNE_INLINE double RankSums::over_all(double value) const {
  auto const sum = detail::one_number(value, device_);
  mesh_->all().sum(sum);
  return sum.item<double>();
}

LIERNE_INLINE void RankSums::over_all(std::span<double> sums, std::span<double> maxima) const {
  auto const of = [](std::span<double> values) {
    return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::TensorOptions().dtype(float64));
  };
  auto const added = of(sums).to(device_).clone();
  mesh_->all().sum(added);
  of(sums).copy_(added);
  auto const all = mesh_->all().gather(of(maxima).to(device_).unsqueeze(0));
  of(maxima).copy_(all.amax(0));
}

LIERNE_INLINE std::int64_t RankSums::from_first(std::int64_t value) const {
  auto const shared = at::full({1}, value, at::TensorOptions().dtype(int64)).to(device_);
  mesh_->all().broadcast(shared);
  return shared.item<std::int64_t>();
}
#endif

}  // namespace lierne
