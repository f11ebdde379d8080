// SPDX-License-Identifier: Apache-2.0
// Fully sharded data parallelism: a unit's parameters are gathered while it runs and freed after.
#pragma once

#include "lierne/core/compiled.hpp"
#include "lierne/mesh/mesh.hpp"
#include "lierne/nn/unit.hpp"

#if LIERNE_BODIES
#include "lierne/parallel/unit_layout.hpp"
#include "lierne/tensor/function.hpp"
#include "lierne/tensor/operations.hpp"
#include "lierne/tensor/storage.hpp"
#endif

namespace lierne {

/// Gathers each unit's parameters over the shard axis before it runs, frees them after, gathers them again when its
/// backward pass begins, and sums their gradients onto the owned parts.
///
/// Numerics: gathered values are the owned ones cast to the dtype that forward reads; gradients are summed in the
/// master dtype. With one process's global batch, loss and gradients equal its own up to the order of that sum.
/// Errors: c10d's exception on a lost peer. Source: Zhao et al. 2023, arXiv 2304.11277, cut by parameter.
class Fsdp : public Materialiser {
 public:
  /// The mesh must outlive every backward pass.
  Fsdp(Mesh const& mesh, Dtype compute);
  ~Fsdp() override;

  void materialise(Unit const& unit) override;
  Tensor release(Unit const& unit, Tensor output) override;

 private:
  struct Use;  // one use of a unit, from its forward pass to its backward pass
  Mesh const* mesh_;
  Dtype compute_;
  std::unique_ptr<Use> use_;
};

#if LIERNE_BODIES
namespace detail {

/// One use of a unit, from its forward pass to its backward pass; the graph keeps it.
struct FsdpUse : torch::CustomClassHolder {
  FsdpUse(Unit const& unit, Mesh const& mesh, Dtype compute_dtype)
      : layout(unit, mesh[Axis::shard].size(), mesh.plan().tensor), group(&mesh[Axis::shard]), compute(compute_dtype) {
    for (auto const* p : unit.parameters) shards.push_back(p->owned.detach());
  }

  Dtype dtype_of(UnitLayout::Place const& place) const {
    return place.read_as == ReadAs::master ? shards.front().scalar_type() : compute;
  }

  /// Gathers the shards into `wholes`, whose storage must be there. One collective for each dtype that occurs.
  void fill() const {
    for (auto const read_as : {ReadAs::compute, ReadAs::master}) {
      auto const takes = [&](auto const& place) { return place.read_as == read_as; };
      auto const part = layout.part(takes);
      if (part == 0) continue;
      auto const type = read_as == ReadAs::master ? shards.front().scalar_type() : compute;
      auto mine = at::zeros({part}, shards.front().options().dtype(type));
      layout.for_each(takes, [&](std::size_t i, auto const&, std::int64_t column) {
        mine.narrow(0, column, shards[i].numel()).copy_(shards[i].flatten());
      });
      auto const all = group->gather(mine).view({layout.ranks, part});
      layout.for_each(takes, [&](std::size_t i, auto const& place, std::int64_t column) {
        auto const padded = all.narrow(1, column, place.padded).reshape({-1});
        wholes[i].view({-1}).copy_(padded.narrow(0, 0, wholes[i].numel()));
      });
    }
  }

  /// The sum over the ranks of each parameter's gradient, cut to this rank's part. Undefined gradients count as zero.
  TensorList reduce(TensorList const& gradients) const {
    auto const everything = [](auto const&) { return true; };
    auto const options = shards.front().options();  // the master dtype, whatever the gradients have
    auto all = at::zeros({layout.ranks, layout.part(everything)}, options);
    layout.for_each(everything, [&](std::size_t i, auto const& place, std::int64_t column) {
      if (!gradients[i].defined()) return;
      auto padded = at::zeros({layout.ranks * place.padded}, options);
      padded.narrow(0, 0, gradients[i].numel()).copy_(gradients[i].flatten());
      all.narrow(1, column, place.padded).copy_(padded.view({layout.ranks, place.padded}));
    });
    auto const mine = group->reduce_scatter(all).view({-1});
    TensorList result;
    layout.for_each(everything, [&](std::size_t i, auto const&, std::int64_t column) {
      result.push_back(mine.narrow(0, column, shards[i].numel()).view_as(shards[i]).clone());
    });
    return result;
  }

  UnitLayout layout;
  Group const* group;
  Dtype compute;
  TensorList shards;
  TensorList wholes;  ///< share the storage of what forward reads, outside the graph
};

/// shards → whole parameters; backward: the sum of their gradients, each rank its part.
struct GatherUnit : Function<GatherUnit> {
  static TensorList forward(AutogradContext* context, at::TensorList shards, c10::intrusive_ptr<FsdpUse> use) {
    TensorList wholes;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      auto const& place = use->layout.places[i];
      wholes.push_back(at::empty(place.whole, use->shards[i].options().dtype(use->dtype_of(place))));
      use->wholes.push_back(wholes.back().detach());
    }
    use->fill();
    context->saved_data["use"] = c10::IValue::make_capsule(std::move(use));
    return wholes;
  }
  static TensorList backward(AutogradContext* context, TensorList gradients) {
    auto const use = c10::static_intrusive_pointer_cast<FsdpUse>(context->saved_data["use"].toCapsule());
    for (auto const& whole : use->wholes) free_storage(whole);
    auto result = use->reduce(gradients);
    result.emplace_back();  // the use itself
    return result;
  }
};

}  // namespace detail

struct Fsdp::Use {
  c10::intrusive_ptr<detail::FsdpUse> held;
};

LIERNE_INLINE Fsdp::Fsdp(Mesh const& mesh, Dtype compute)
    : mesh_(&mesh), compute_(compute), use_(std::make_unique<Use>()) {}
LIERNE_INLINE Fsdp::~Fsdp() = default;

LIERNE_INLINE void Fsdp::materialise(Unit const& unit) {
  use_->held = c10::make_intrusive<detail::FsdpUse>(unit, *mesh_, compute_);
  TensorList owned;
  for (auto const* p : unit.parameters) owned.push_back(p->owned);
  auto const wholes = detail::GatherUnit::apply(at::TensorList(owned), use_->held);
  for (std::size_t i = 0; i < wholes.size(); ++i) unit.parameters[i]->materialised = wholes[i];
}

LIERNE_INLINE Tensor Fsdp::release(Unit const& unit, Tensor output) {
  for (auto* p : unit.parameters) p->materialised = Tensor();
  auto const use = std::move(use_->held);
  // The last unit's backward pass follows at once: freeing would only gather again.
  if (!output.requires_grad() || unit.last) return output;
  for (auto const& whole : use->wholes) free_storage(whole);
  output.register_hook([use](Tensor const& gradient) {
    // Below autograd the refill leaves the version counter alone, and what the graph saved stays valid.
    BelowAutograd guard;
    for (auto const& whole : use->wholes) restore_storage(whole);
    use->fill();
    return gradient;
  });
  return output;
}
#endif

}  // namespace lierne
