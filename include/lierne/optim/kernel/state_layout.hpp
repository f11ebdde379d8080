// SPDX-License-Identifier: Apache-2.0
// Which tensors a rule keeps for a parameter, under which names and in which dtypes.
#pragma once

#include "lierne/optim/kernel/passes.hpp"
#include "lierne/optim/kernel/stored_tensor.hpp"
#include "lierne/tensor/operations.hpp"

namespace lierne {

/// The tensors of a parameter's state: the rule's fields, then what their storage and that of the weight keeps beside them.
struct StateLayout {
  RuleStorage storage;
  std::vector<std::string> names{};    ///< of state keys
  static constexpr std::size_t none = ~std::size_t{0};
  std::vector<std::size_t> beside{};   ///< for each field, where its magnitudes are, or `none`
  std::size_t beside_weight = none;    ///< where master or compensation is, or `none`

  /// `passes` must outlive it.
  explicit StateLayout(Passes const& passes);

  /// Whether the rule says anything of storage.
  bool any() const {
    return storage.weights.form != Storage::plain ||
           std::any_of(storage.fields.begin(), storage.fields.end(), [](auto const& as) { return as.form != Storage::plain; });
  }

  /// Errors: `ShapeError` for codes of 8-bit blocks where there will be none.
  void check_loadable(std::string const& key, std::size_t k, Tensor const& tensor) const {
    check<ShapeError>(tensor.is_floating_point() || (k < beside.size() && beside[k] != none), "optimizer: '", key,
                      "': expected floating-point numbers, found ", at::toString(tensor.scalar_type()),
                      " (8-bit blocks are loaded by a rule with store<...>(eight_bit_blocks) for this field)");
  }

  /// Makes the tensors that are missing, and brings loaded ones into their stored form.
  /// Errors: `ShapeError` for a loaded tensor that does not fit.
  void attach(Slot const& slot, std::vector<Tensor>& tensors) const;

  /// Whether a tensor that a loaded state lacks should have been there. `others`: other parameters have the one that goes
  /// with weights.
  bool expects(std::size_t k, std::vector<Tensor> const& tensors, bool others) const {
    if (k < beside.size()) return true;
    if (k == beside_weight) return !others;
    auto const field = static_cast<std::size_t>(std::find(beside.begin(), beside.end(), k) - beside.begin());
    return tensors[field].defined() && tensors[field].scalar_type() == at::kByte;
  }

  /// One stored tensor of a parameter in a call. `field` counts the rule's fields.
  StoredTensor field(Slot const& slot, std::vector<Tensor> const& tensors, std::size_t field, std::int64_t calls) const;
  StoredTensor weight(Slot const& slot, std::vector<Tensor> const& tensors, std::int64_t calls) const;

 private:
  Storage form_of(std::size_t field, Positions const& positions) const {
    auto const form = storage.fields.empty() ? Storage::plain : storage.fields[field].form;
    return form == Storage::eight_bit_blocks && !positions.has_blocks() ? Storage::plain : form;
  }
  // Brings a loaded tensor into the dtype that is kept, and checks its shape.
  void fit(Slot const& slot, std::vector<Tensor>& tensors, std::size_t k, Dtype dtype, Shape const& shape) const;
  void attach_beside_weight(Slot const& slot, std::vector<Tensor>& tensors) const;
  void attach_blocks(Slot const& slot, Positions const& positions, std::vector<Tensor>& tensors, std::size_t field) const;

  Passes const* passes_;
};

namespace detail {

inline bool never_negative(std::string_view field) { return field.ends_with("_sq") || field.ends_with("square_avg"); }

}  // namespace detail

inline StateLayout::StateLayout(Passes const& passes) : storage(passes.storage()), passes_(&passes) {
  auto const fields = passes.fields();
  names.assign(fields.begin(), fields.end());
  beside.resize(names.size(), none);
  for (std::size_t k = 0; k < fields.size() && !storage.fields.empty(); ++k) {
    if (storage.fields[k].form != Storage::eight_bit_blocks) continue;
    beside[k] = names.size();
    names.push_back(std::string(fields[k]) + "_absmax");
  }
  auto const form = storage.weights.form;
  if (form != Storage::bf16_kahan && form != Storage::bf16_with_master) return;
  beside_weight = names.size();
  names.push_back(form == Storage::bf16_kahan ? "compensation" : "master");
}

inline void StateLayout::fit(Slot const& slot, std::vector<Tensor>& tensors, std::size_t k, Dtype dtype, Shape const& shape) const {
  auto const key = "optim.state." + slot.name + "." + names[k];
  auto& tensor = tensors[k];
  check_loadable(key, k, tensor);
  check<ShapeError>(tensor.sizes() == shape, "optimizer: '", key, "': expected shape ", to_string(shape), ", found ",
                    to_string(tensor.sizes()));
  tensor = tensor.to(slot.weight.device(), dtype).contiguous();
}

inline void StateLayout::attach(Slot const& slot, std::vector<Tensor>& tensors) const {
  tensors.resize(names.size());
  attach_beside_weight(slot, tensors);  // first: fields may start as the weight, which it is a part of
  auto const& weight = slot.weight;
  auto const options = weight.options().requires_grad(false);
  auto const plain = weight.scalar_type() == bfloat16 ? float32 : weight.scalar_type();
  auto const positions = any() ? Positions::of(slot) : Positions();
  for (std::size_t k = 0; k < beside.size(); ++k) {
    auto const form = form_of(k, positions);
    auto const shape = passes_->field_shape(k, weight.sizes().vec());
    check<ShapeError>(form == Storage::plain || weight.sizes() == shape, "optimizer: '", slot.name, "': the field '", names[k],
                      "' has a shape of its own, ", to_string(shape), ", and cannot be stored as ", to_string(form),
                      " (leave it out of store)");
    if (!tensors[k].defined() && passes_->starts_at_weight(k)) {
      tensors[k] = decoded(this->weight(slot, tensors, 0), positions, plain).detach().clone();
    }
    if (form == Storage::eight_bit_blocks) {
      attach_blocks(slot, positions, tensors, k);
      continue;
    }
    auto const dtype = form == Storage::plain ? plain : bfloat16;
    if (beside[k] != none) tensors[beside[k]] = Tensor();
    if (tensors[k].defined()) {
      fit(slot, tensors, k, dtype, shape);
    } else {
      tensors[k] = at::zeros(shape, options.dtype(dtype));
    }
  }
}

inline void StateLayout::attach_beside_weight(Slot const& slot, std::vector<Tensor>& tensors) const {
  if (beside_weight == none) return;
  auto const& weight = slot.weight;
  auto& extra = tensors[beside_weight];
  bool const master = storage.weights.form == Storage::bf16_with_master;
  if (weight.scalar_type() != bfloat16) {
    extra = Tensor();
  } else if (extra.defined()) {
    fit(slot, tensors, beside_weight, master ? float32 : bfloat16, weight.sizes().vec());
  } else {
    extra = master ? weight.detach().to(float32) : at::zeros(weight.sizes(), weight.options().requires_grad(false));
  }
}

inline void StateLayout::attach_blocks(Slot const& slot, Positions const& positions, std::vector<Tensor>& tensors,
                                       std::size_t k) const {
  positions.check_blocks(slot.name);
  auto const loaded = tensors[k];
  auto& codes = tensors[k];
  auto& absmax = tensors[beside[k]];
  auto const options = slot.weight.options().requires_grad(false);
  Shape const scales{positions.rows(), positions.blocks_in_row()};
  auto const key = "optimizer: 'optim.state." + slot.name + "." + names[k] + "': ";
  check<ShapeError>(!loaded.defined() || loaded.sizes() == slot.weight.sizes(), key, "expected shape ",
                    to_string(slot.weight.sizes()), ", found ", loaded.defined() ? to_string(loaded.sizes()) : "");
  if (loaded.defined() && loaded.scalar_type() == at::kByte) {
    check<ShapeError>(absmax.defined() && absmax.sizes() == at::IntArrayRef(scales) && absmax.scalar_type() == float32, key,
                      "expected magnitudes of its blocks, '", names[beside[k]], "' of Float and shape ", to_string(scales),
                      ", found ", absmax.defined() ? at::toString(absmax.scalar_type()) + to_string(absmax.sizes()) : "none");
    codes = loaded.to(slot.weight.device()).contiguous();
    absmax = absmax.to(slot.weight.device()).contiguous();
    return;
  }
  check<ShapeError>(!loaded.defined() || loaded.is_floating_point(), key, "expected 8-bit blocks or floating-point numbers, found ",
                    loaded.defined() ? at::toString(loaded.scalar_type()) : "");
  bool const with_sign = !detail::never_negative(names[k]);
  codes = at::full(slot.weight.sizes(), (with_sign ? signed_map : unsigned_map).zero, options.dtype(at::kByte));
  absmax = at::zeros(scales, options.dtype(float32));
  if (!loaded.defined()) return;
  auto const numbers = loaded.to(slot.weight.device(), float32).contiguous();
  encode({.form = Storage::eight_bit_blocks, .data = codes, .beside = absmax, .with_sign = with_sign}, positions, numbers);
}

inline StoredTensor StateLayout::field(Slot const& slot, std::vector<Tensor> const& tensors, std::size_t field,
                                       std::int64_t calls) const {
  StoredTensor stored{.data = tensors[field]};
  if (storage.fields.empty()) return stored;
  auto const& as = storage.fields[field];
  stored.form = stored.data.scalar_type() == at::kByte || as.form != Storage::eight_bit_blocks ? as.form : Storage::plain;
  if (stored.form == Storage::eight_bit_blocks) {
    stored.beside = tensors[beside[field]];
    stored.with_sign = !detail::never_negative(names[field]);
  } else if (stored.form == Storage::bf16_stochastic) {
    stored.bits = RoundingBits::of(as.seed, slot.name + "." + names[field], calls);
  }
  return stored;
}

inline StoredTensor StateLayout::weight(Slot const& slot, std::vector<Tensor> const& tensors, std::int64_t calls) const {
  StoredTensor stored{.data = slot.weight};
  if (slot.weight.scalar_type() != bfloat16) return stored;
  stored.form = storage.weights.form;
  if (beside_weight != none) stored.beside = tensors[beside_weight];
  if (stored.form == Storage::bf16_stochastic) stored.bits = RoundingBits::of(storage.weights.seed, slot.name, calls);
  return stored;
}

}  // namespace lierne
