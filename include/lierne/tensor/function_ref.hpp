// SPDX-License-Identifier: Apache-2.0
// A reference to a function of a fixed signature, so that what calls it is compiled once, whoever passes what.
#pragma once

#include <c10/util/FunctionRef.h>

namespace lierne {

/// Refers to a callable without owning it: as a parameter, valid while the call lasts.
/// Example: `void each(FunctionRef<void(int)> visit);`
template <class Signature>
using FunctionRef = c10::function_ref<Signature>;

}  // namespace lierne
