// SPDX-License-Identifier: Apache-2.0
// Records: models and plans as compile-time values. Sees the standard library only.
//
// A `Decoder` has sizes and slots; a piece (Attention, Rope, SwiGlu ...) fills the slot of its role. `every<N>` lets a
// slot change by layer, `with` derives a variant, `fits` and `parameters` answer before anything runs.
#pragma once

#include "lierne/spec/counts.hpp"
#include "lierne/spec/decoder.hpp"
#include "lierne/spec/fits.hpp"
#include "lierne/spec/name.hpp"
#include "lierne/spec/plan.hpp"
#include "lierne/spec/with.hpp"
