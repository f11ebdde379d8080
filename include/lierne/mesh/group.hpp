// SPDX-License-Identifier: Apache-2.0
// The gate to c10d: the ranks along one axis of the mesh and their collectives.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include <utility>

#include "lierne/core/error.hpp"
#include "lierne/tensor/autograd.hpp"

namespace lierne {

/// The ranks along one axis. Alone, every collective is the identity. Collectives wait for their result, take
/// contiguous tensors, and must be called by all ranks of the group in the same order.
/// Numerics: the sum over ranks is the backend's, in the tensor's dtype; it is the same on every rank.
/// Errors: c10d's own exception on a lost peer or a timeout.
class Group {
 public:
  Group() = default;
  Group(int rank, int size, c10::intrusive_ptr<c10d::Backend> backend)
      : rank_(rank), size_(size), backend_(std::move(backend)) {}

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool alone() const { return size_ == 1; }

  /// Replaces `tensor` by its sum over the ranks.
  void sum(Tensor const& tensor) const {
    if (alone()) return;
    std::vector<Tensor> tensors{tensor};
    backend_->allreduce(tensors)->wait();
  }

  /// The ranks' tensors one after the other along dimension 0. All have the same shape.
  Tensor gather(Tensor const& part) const {
    if (alone()) return part;
    auto shape = part.sizes().vec();
    check<ShapeError>(!shape.empty(), "gather: expected at least one dimension, found a scalar");
    shape[0] *= size_;
    auto whole = at::empty(shape, part.options());
    auto input = part.contiguous();
    backend_->_allgather_base(whole, input)->wait();
    return whole;
  }

  /// This rank's part, cut along dimension 0, of the sum of the ranks' tensors.
  /// Errors: `ShapeError` when the group's size does not divide dimension 0.
  Tensor reduce_scatter(Tensor const& whole) const {
    if (alone()) return whole;
    auto shape = whole.sizes().vec();
    check<ShapeError>(!shape.empty() && shape[0] % size_ == 0, "reduce_scatter: expected dimension 0 of ",
                      to_string(whole.sizes()), " to be a multiple of ", size_);
    shape[0] /= size_;
    auto part = at::empty(shape, whole.options());
    auto input = whole.contiguous();
    backend_->_reduce_scatter_base(part, input)->wait();
    return part;
  }

  /// Replaces `tensor` by rank 0's.
  void broadcast(Tensor const& tensor) const {
    if (alone()) return;
    std::vector<Tensor> tensors{tensor};
    backend_->broadcast(tensors)->wait();
  }

  /// Returns when every rank of the group has called it.
  void barrier() const {
    if (!alone()) backend_->barrier()->wait();
  }

 private:
  int rank_ = 0;
  int size_ = 1;
  c10::intrusive_ptr<c10d::Backend> backend_{};
};

}  // namespace lierne
