// SPDX-License-Identifier: Apache-2.0
// Work on many arrays of different sizes, cut into chunks and spread over the threads in one dispatch.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace lierne {

/// A stretch of one of several arrays. Units: elements.
struct Chunk {
  std::int64_t array;
  std::int64_t begin;
  std::int64_t size;
};

/// Cuts arrays into chunks of at most `largest` elements. The cuts depend on the sizes alone, never on threads, and lie
/// at multiples of `largest`, so that only an array's last chunk may end inside a vector.
inline std::vector<Chunk> cut_into_chunks(std::span<std::int64_t const> sizes, std::int64_t largest = 16384) {
  std::vector<Chunk> chunks;
  for (std::size_t array = 0; array < sizes.size(); ++array) {
    for (std::int64_t begin = 0; begin < sizes[array]; begin += largest) {
      chunks.push_back({static_cast<std::int64_t>(array), begin, std::min(largest, sizes[array] - begin)});
    }
  }
  return chunks;
}

/// Calls `body(chunk, index)` for every chunk, in parallel, one contiguous run of chunks of about equal work a thread.
template <class Body>
void for_each_chunk(std::vector<Chunk> const& chunks, Body const& body) {
  constexpr std::int64_t overhead = 512;         // a chunk costs about as much as so many elements, however small it is
  constexpr std::int64_t least_a_task = 65536;   // below this, starting a thread costs more than it saves
  std::int64_t work = 0;
  for (auto const& chunk : chunks) work += chunk.size + overhead;
  std::int64_t const tasks = std::min<std::int64_t>(at::get_num_threads(), work / least_a_task + 1);
  std::vector<std::size_t> starts(static_cast<std::size_t>(tasks) + 1, chunks.size());
  starts[0] = 0;
  std::int64_t done = 0;
  std::int64_t task = 1;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    while (task < tasks && done >= work / tasks * task) starts[static_cast<std::size_t>(task++)] = i;
    done += chunks[i].size + overhead;
  }
  at::parallel_for(0, tasks, 1, [&](std::int64_t first, std::int64_t last) {
    for (auto i = starts[static_cast<std::size_t>(first)]; i < starts[static_cast<std::size_t>(last)]; ++i) {
      body(chunks[i], i);
    }
  });
}

}  // namespace lierne
