// SPDX-License-Identifier: Apache-2.0
// The folder data: from files of text to batches of tokens, read from left to right as the pipe is written:
// `text(folder, tokenizer) | pack(length) | shuffle(seed) | batch(rows) | prefetch(ahead)`.
#pragma once

#include "lierne/data/batch.hpp"
#include "lierne/data/pack.hpp"
#include "lierne/data/prefetch.hpp"
#include "lierne/data/shuffle.hpp"
#include "lierne/data/stage.hpp"
#include "lierne/data/text.hpp"
#include "lierne/data/tokenizer.hpp"
#include "lierne/data/trigram.hpp"
