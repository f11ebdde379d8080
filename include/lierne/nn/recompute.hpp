// SPDX-License-Identifier: Apache-2.0
// Recomputation: values that a block does not keep for its backward pass, and how they come back.
#pragma once

#include <functional>
#include <memory>

#include "lierne/core/compiled.hpp"
#include "lierne/nn/sequence.hpp"
#include "lierne/tensor/autograd.hpp"
#include "lierne/tensor/function_ref.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/tensor/function.hpp"
#include "lierne/tensor/storage.hpp"
#endif

namespace lierne {

/// The cheap values of one run of a selective block. Their memory is freed when the block has run, and filled again when
/// its backward pass begins, before anything in it reads them.
/// Numerics: what comes back must be the same bits, so the same function of the same tensors makes it.
class Recomputed {
 public:
  Recomputed();
  ~Recomputed();
  Recomputed(Recomputed const&) = delete;

  /// Notes a value that only backward passes will read, once the block has run, and how it is made again.
  /// A value that shares memory with one of `sources` stays: freeing it would free them.
  void note(Tensor const& value, TensorList const& sources, std::function<Tensor()> again);
  /// Frees what was noted. Call it with the block's output, and use what it returns in its place.
  Tensor finish(Tensor const& output);

  struct Values;

 private:
  std::shared_ptr<Values> values_;
};

/// `make(sources...)`, made again in the backward pass if `again`, the policy of the block, says so. `make` is copied,
/// and must hold what it needs besides. For results of which nothing else than backward passes hears after the block.
/// Example: `recomputable<block.recompute.activations>(sequence, kernel::swiglu, gate, up)`.
template <bool again, class Make, class... Sources>
Tensor recomputable(Sequence const& sequence, Make const& make, Sources const&... sources) {
  auto value = make(sources...);
  if constexpr (again) {
    if (sequence.recomputed != nullptr) {
      sequence.recomputed->note(value, {sources...}, [make, sources...] { return make(sources...); });
    }
  }
  return value;
}

/// `make()`, a value of `sources`, made again in the backward pass where the sequence notes what is: for values that an
/// untyped part of a layer makes. The layer clears `sequence.recomputed` where its block's policy keeps them.
Tensor recomputable(Sequence const& sequence, TensorList const& sources, std::function<Tensor()> make);

/// Runs a block and keeps nothing but its input; the backward pass runs it `again` from that and the weights, with
/// gradients, and goes back through this second run. `first` is the first run. `again` may outlive everything else of
/// the model. Shapes: the output is whatever `first` returns. Numerics: gradients are those of the plain run, bit for
/// bit, if `again` computes what `first` did.
Tensor run_and_recompute(Tensor const& h, TensorList const& weights, FunctionRef<Tensor()> first,
                         std::function<Tensor(Tensor const& h, TensorList const& weights)> again);

#if LIERNE_BODIES
struct Recomputed::Values {
  struct Value {
    Tensor tensor;  // shares the memory, outside the graph
    std::function<Tensor()> again;
  };
  std::vector<Value> all;

  void refill() {
    NoGrad guard;
    for (auto const& value : all) refill_storage(value.tensor, value.again());
    all.clear();  // a second backward pass through the same graph finds the memory full
  }
};

namespace detail {

/// The identity, whose backward pass refills what the block before it needs.
struct RefillFunction : Function<RefillFunction> {
  static Tensor forward(AutogradContext* context, Tensor const& output, std::function<void()> refill) {
    context->saved_data["refill"] = c10::IValue::make_capsule(c10::make_intrusive<Call>(std::move(refill)));
    return output;
  }
  static TensorList backward(AutogradContext* context, TensorList gradients) {
    c10::static_intrusive_pointer_cast<Call>(context->saved_data["refill"].toCapsule())->call();
    return {gradients[0], {}};
  }

 private:
  struct Call : torch::CustomClassHolder {
    explicit Call(std::function<void()> given) : call(std::move(given)) {}
    std::function<void()> call;
  };
};

struct RecomputeFunction : Function<RecomputeFunction> {
  using Again = std::function<Tensor(Tensor const& h, TensorList const& weights)>;

  static Tensor forward(AutogradContext* context, Tensor const& h, at::TensorList weights, FunctionRef<Tensor()> first,
                        Again again) {
    TensorList saved{h};
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["again"] = c10::IValue::make_capsule(c10::make_intrusive<Held>(std::move(again)));
    return first();
  }
  static TensorList backward(AutogradContext* context, TensorList upstream) {
    auto const saved = context->get_saved_variables();
    TensorList inputs, wanted;
    for (std::size_t i = 0; i < saved.size(); ++i) {
      inputs.push_back(saved[i].detach());
      if (!context->needs_input_grad(i)) continue;
      inputs.back().requires_grad_();
      wanted.push_back(inputs.back());
    }
    auto const& again = c10::static_intrusive_pointer_cast<Held>(context->saved_data["again"].toCapsule())->again;
    TensorList gradients(saved.size() + 2);  // those of the two functions stay undefined
    if (wanted.empty()) return gradients;
    Tensor output;
    {
      at::AutoGradMode const records(true);
      output = again(inputs.front(), TensorList(inputs.begin() + 1, inputs.end()));
    }
    auto found = torch::autograd::grad({output}, wanted, {upstream[0]}, /*retain_graph=*/std::nullopt,
                                       /*create_graph=*/false, /*allow_unused=*/true);
    std::size_t next = 0;
    for (std::size_t i = 0; i < saved.size(); ++i) {
      if (inputs[i].requires_grad()) gradients[i] = std::move(found[next++]);
    }
    return gradients;
  }

 private:
  struct Held : torch::CustomClassHolder {
    explicit Held(Again given) : again(std::move(given)) {}
    Again again;
  };
};

}  // namespace detail

LIERNE_INLINE Recomputed::Recomputed() : values_(std::make_shared<Values>()) {}
LIERNE_INLINE Recomputed::~Recomputed() = default;

LIERNE_INLINE void Recomputed::note(Tensor const& value, TensorList const& sources, std::function<Tensor()> again) {
  bool const shares = std::ranges::any_of(sources, [&](Tensor const& source) { return value.is_alias_of(source); });
  // A part of a larger tensor stays as well: the rest of it may be in use.
  if (shares || !value.requires_grad() || value.storage().nbytes() != value.nbytes()) return;
  values_->all.push_back({value.detach(), std::move(again)});
}

LIERNE_INLINE Tensor Recomputed::finish(Tensor const& output) {
  std::erase_if(values_->all, [&](Values::Value const& value) { return value.tensor.is_alias_of(output); });
  if (values_->all.empty()) return output;
  for (auto const& value : values_->all) free_storage(value.tensor);
  return detail::RefillFunction::apply(output, [values = values_] { values->refill(); });
}

LIERNE_INLINE Tensor recomputable(Sequence const& sequence, TensorList const& sources, std::function<Tensor()> make) {
  auto value = make();
  if (sequence.recomputed != nullptr) sequence.recomputed->note(value, sources, std::move(make));
  return value;
}

LIERNE_INLINE Tensor run_and_recompute(Tensor const& h, TensorList const& weights, FunctionRef<Tensor()> first,
                                       std::function<Tensor(Tensor const& h, TensorList const& weights)> again) {
  return detail::RecomputeFunction::apply(h, at::TensorList(weights), first, std::move(again));
}
#endif

}  // namespace lierne
