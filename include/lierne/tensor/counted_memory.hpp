// SPDX-License-Identifier: Apache-2.0
// How many bytes the tensors of a stretch of code take at once.
#pragma once

#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// Counts the bytes of all CPU tensors that are allocated during its life, on any thread, and of what oneDNN's products take
/// meanwhile. What was allocated before is not seen, neither when it is freed. One at a time. Units: bytes.
/// Example: `CountedMemory memory; backward(model.loss(tokens, labels, count)); report(memory.peak());`
class CountedMemory {
 public:
  CountedMemory();
  ~CountedMemory();
  CountedMemory(CountedMemory const&) = delete;

  /// Allocated and not freed yet.
  std::int64_t live() const;
  /// The largest value of `live` so far, or since `restart`.
  std::int64_t peak() const;
  /// Lets the peak begin anew at what is live.
  void restart();

  struct Counts;

 private:
  struct Counter;
  std::shared_ptr<Counts> counts_;
};

struct CountedMemory::Counts {
  std::atomic<std::int64_t> live{0}, peak{0};

  void add(std::int64_t bytes) {
    auto const now = live += bytes;
    for (auto top = peak.load(); now > top && !peak.compare_exchange_weak(top, now);) {}
  }
};

struct CountedMemory::Counter final : c10::Allocator {
  // A counted piece of memory; it may outlive the count.
  struct Piece {
    c10::DataPtr memory;
    std::shared_ptr<Counts> counts;
    std::int64_t bytes = 0;
  };

  /// The only one. It stays for ever, since storages keep a pointer to the allocator that they are from.
  static Counter& only() {
    static auto* const counter = new Counter;
    return *counter;
  }
  void begin(std::shared_ptr<Counts> counts) {
    counts_ = std::move(counts);
    below_ = c10::GetCPUAllocator();
    c10::SetCPUAllocator(this);
  }
  void end() {
    c10::SetCPUAllocator(below_);
    counts_ = nullptr;
  }

  // Pieces are found by their address: oneDNN asks for memory of which it keeps the address alone, and gives it back to the
  // allocator of that moment, which need not be the one that it is from.
  c10::DataPtr allocate(std::size_t bytes) override {
    auto memory = below_->allocate(bytes);
    auto* const data = memory.get();
    if (!counts_ || data == nullptr) return memory;
    Piece piece{std::move(memory), counts_, static_cast<std::int64_t>(bytes)};
    counts_->add(piece.bytes);
    std::scoped_lock const lock(mutex_);
    auto& place = pieces_[data];
    if (place.counts) {  // the allocator below has freed what was here
      place.memory.release_context();
      place.counts->live -= place.bytes;
    }
    place = std::move(piece);
    return {data, data, &release, c10::Device(at::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, void const* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  static void release(void* data) {
    auto& self = only();
    std::unique_lock lock(self.mutex_);
    auto const own = self.pieces_.extract(data);
    lock.unlock();
    if (own.empty()) {
      self.below_->raw_deleter()(data);
    } else {
      own.mapped().counts->live -= own.mapped().bytes;
    }
  }

  std::shared_ptr<Counts> counts_;
  c10::Allocator* below_ = nullptr;
  std::mutex mutex_;
  std::unordered_map<void*, Piece> pieces_;
};

inline CountedMemory::CountedMemory() : counts_(std::make_shared<Counts>()) { Counter::only().begin(counts_); }
inline CountedMemory::~CountedMemory() { Counter::only().end(); }

inline std::int64_t CountedMemory::live() const { return counts_->live; }
inline std::int64_t CountedMemory::peak() const { return counts_->peak; }
inline void CountedMemory::restart() { counts_->peak = counts_->live.load(); }

}  // namespace lierne
