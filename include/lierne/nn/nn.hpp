// SPDX-License-Identifier: Apache-2.0
// Layers, blocks and the decoder that a record describes.
#pragma once

#include "lierne/nn/model.hpp"
#include "lierne/nn/probes.hpp"
#include "lierne/spec/spec.hpp"
