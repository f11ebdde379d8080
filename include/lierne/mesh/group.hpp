// SPDX-License-Identifier: Apache-2.0
// The ranks along one axis of the mesh and their collectives.
#pragma once

#include <memory>

#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

namespace detail {
struct GroupBackend;  // c10d's, whose headers no user of a group needs
}

/// The ranks along one axis. Alone, every collective is the identity. Collectives wait for their result, and must be
/// called by all ranks of the group in the same order; tensors may lie in memory as they like.
/// Numerics: the sum over ranks is the backend's, in the tensor's dtype; it is the same on every rank.
/// Errors: c10d's own exception on a lost peer or a timeout.
class Group {
 public:
  Group() = default;
  Group(int rank, int size, std::shared_ptr<detail::GroupBackend> backend)
      : rank_(rank), size_(size), backend_(std::move(backend)) {}

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool alone() const { return size_ == 1; }

  /// Replaces `tensor` by its sum over the ranks.
  void sum(Tensor const& tensor) const;
  /// The ranks' tensors one after the other along dimension 0. All have the same shape.
  Tensor gather(Tensor const& part) const;
  /// This rank's part, cut along dimension 0, of the sum of the ranks' tensors.
  /// Errors: `ShapeError` when the group's size does not divide dimension 0.
  Tensor reduce_scatter(Tensor const& whole) const;
  /// Replaces `tensor` by rank 0's.
  void broadcast(Tensor const& tensor) const;
  /// Returns when every rank of the group has called it.
  void barrier() const;

 private:
  int rank_ = 0;
  int size_ = 1;
  std::shared_ptr<detail::GroupBackend> backend_{};
};

#if LIERNE_BODIES
namespace detail {
struct GroupBackend {
  c10::intrusive_ptr<c10d::Backend> c10d;
};
}  // namespace detail

LIERNE_INLINE void Group::sum(Tensor const& tensor) const {
  if (alone()) return;
  // Backends pair elements by their place in memory, and ranks may hold one value in different layouts.
  std::vector<Tensor> tensors{tensor.contiguous()};
  backend_->c10d->allreduce(tensors)->wait();
  if (!tensor.is_contiguous()) tensor.copy_(tensors[0]);
}

LIERNE_INLINE Tensor Group::gather(Tensor const& part) const {
  if (alone()) return part;
  auto shape = part.sizes().vec();
  check<ShapeError>(!shape.empty(), "gather: expected at least one dimension, found a scalar");
  shape[0] *= size_;
  auto whole = at::empty(shape, part.options());
  auto input = part.contiguous();
  backend_->c10d->_allgather_base(whole, input)->wait();
  return whole;
}

LIERNE_INLINE Tensor Group::reduce_scatter(Tensor const& whole) const {
  if (alone()) return whole;
  auto shape = whole.sizes().vec();
  check<ShapeError>(!shape.empty() && shape[0] % size_ == 0, "reduce_scatter: expected dimension 0 of ",
                    to_string(whole.sizes()), " to be a multiple of ", size_);
  shape[0] /= size_;
  auto part = at::empty(shape, whole.options());
  auto input = whole.contiguous();
  backend_->c10d->_reduce_scatter_base(part, input)->wait();
  return part;
}

LIERNE_INLINE void Group::broadcast(Tensor const& tensor) const {
  if (alone()) return;
  std::vector<Tensor> tensors{tensor.contiguous()};
  backend_->c10d->broadcast(tensors)->wait();
  if (!tensor.is_contiguous()) tensor.copy_(tensors[0]);
}

LIERNE_INLINE void Group::barrier() const {
  if (!alone()) backend_->c10d->barrier()->wait();
}
#endif

}  // namespace lierne
