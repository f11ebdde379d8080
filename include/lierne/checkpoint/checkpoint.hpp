// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a run, and tensors in files. Read docs/checkpoints.md first.
#pragma once

// Saving and loading a run.
#include "lierne/checkpoint/list.hpp"
#include "lierne/checkpoint/load.hpp"
#include "lierne/checkpoint/load_weights.hpp"
#include "lierne/checkpoint/open_weights.hpp"
#include "lierne/checkpoint/save.hpp"

// What they are made of.
#include "lierne/checkpoint/checksum.hpp"
#include "lierne/checkpoint/facts.hpp"
#include "lierne/checkpoint/files.hpp"
#include "lierne/checkpoint/folder_lock.hpp"
#include "lierne/checkpoint/input_file.hpp"
#include "lierne/checkpoint/manifest.hpp"
#include "lierne/checkpoint/safetensors.hpp"
#include "lierne/checkpoint/safetensors_header.hpp"
