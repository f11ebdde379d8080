// SPDX-License-Identifier: Apache-2.0
// Frees and restores the memory behind a tensor while its handles and its place in the graph stay.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>

#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// Operations in the guard's scope go below autograd: neither graph nor version counter sees them. What is written to
/// restored memory in it leaves valid what the graph has saved.
using BelowAutograd = at::AutoDispatchBelowADInplaceOrView;

/// Gives the memory of `tensor`, and of all its views, back to its allocator. Reading it before `restore_storage` is an
/// error of the caller's that nothing detects.
inline void free_storage(Tensor const& tensor) {
  auto* storage = tensor.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(c10::DataPtr(nullptr, storage->device()));
  storage->set_nbytes(0);
}

/// Gives `tensor` and its views memory again, with no values in it. The tensor covers its storage from the start.
inline void restore_storage(Tensor const& tensor) {
  auto* storage = tensor.storage().unsafeGetStorageImpl();
  auto const bytes = static_cast<std::size_t>(tensor.nbytes());
  storage->set_data_ptr_noswap(storage->allocator()->allocate(bytes));
  storage->set_nbytes(bytes);
}

/// Gives `tensor` and its views the memory of `values`, a tensor of the same sizes that nobody else uses. Without a copy
/// where both cover their storage alike.
inline void refill_storage(Tensor const& tensor, Tensor values) {
  auto* storage = tensor.storage().unsafeGetStorageImpl();
  auto* from = values.storage().unsafeGetStorageImpl();
  bool const alike = values.storage_offset() == 0 && tensor.storage_offset() == 0 && values.strides() == tensor.strides() &&
                     from->nbytes() == values.nbytes() && from != storage;
  if (alike) {
    storage->set_data_ptr_noswap(from->set_data_ptr(c10::DataPtr(nullptr, from->device())));
    storage->set_nbytes(from->nbytes());
    from->set_nbytes(0);
  } else {
    BelowAutograd guard;
    restore_storage(tensor);
    tensor.copy_(values);
  }
}

/// Whether the memory has been freed.
inline bool storage_is_free(Tensor const& tensor) { return tensor.numel() != 0 && tensor.storage().nbytes() == 0; }

}  // namespace lierne
