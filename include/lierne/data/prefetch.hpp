// SPDX-License-Identifier: Apache-2.0
// The stage that prepares batches ahead on a thread of its own; order and positions stay those without it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

#include "lierne/core/compiled.hpp"
#include "lierne/data/batch.hpp"
#include "lierne/data/stage.hpp"

#if LIERNE_BODIES
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>

#include "lierne/core/error.hpp"
#endif

namespace lierne {

namespace detail {

/// What the thread asks of a source of batches.
struct AheadSource {
  virtual Batch next() = 0;
  virtual Position position() const = 0;

 protected:
  ~AheadSource() = default;
};

/// The thread, and the batches that it has ready. The source is the thread's alone from `next` to `stop`.
class AheadQueue {
 public:
  AheadQueue(AheadSource& source, std::int64_t ahead);
  AheadQueue(AheadQueue const&) = delete;
  ~AheadQueue();
  /// The next batch, and where the one after it starts.
  std::pair<Batch, Position> next();
  /// Ends the thread and drops what it has ready.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace detail

/// Up to `ahead` batches that a thread prepares. The thread starts with the first `next` and ends with the object.
/// Errors: what the source throws is thrown by the `next` whose batch it would have been.
template <class Source>
class Prefetched {
 public:
  Prefetched(Source source, std::int64_t ahead) : work_{std::make_unique<Work>(std::move(source), ahead)} {}

  Batch next() {
    auto [batch, after] = work_->queue.next();
    work_->reached = after;
    return std::move(batch);
  }
  /// Where the next batch starts that this object gives, however far the thread is ahead of it.
  Position position() const { return work_->reached; }
  void seek(Position position) {
    auto& source = back();
    source.seek(position);
    work_->reached = source.position();
  }
  void shard(Shard shard) { back().shard(shard); }

  auto validation(std::int64_t batch = 0) const { return work_->source.validation(batch); }
  std::int64_t length() const { return work_->source.length(); }
  std::int64_t batch_size() const { return work_->source.batch_size(); }
  std::int64_t epoch_size() const { return work_->source.epoch_size(); }
  std::uint64_t fingerprint() const { return work_->source.fingerprint(); }
  auto const& text() const { return work_->source.text(); }

  struct iterator {
    using iterator_concept = std::input_iterator_tag;
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;
    Prefetched* stream;
    Batch batch;
    Batch const& operator*() const { return batch; }
    iterator& operator++() {
      batch = stream->next();
      return *this;
    }
    void operator++(int) { ++*this; }
  };
  iterator begin() { return {this, next()}; }
  std::unreachable_sentinel_t end() const { return {}; }

 private:
  /// What the thread and the consumer share; it stays in place when the object moves.
  struct Work final : detail::AheadSource {
    Source source;
    Position reached;  // the consumer's
    detail::AheadQueue queue;  // the last member: its thread ends before the source does

    Work(Source s, std::int64_t ahead) : source{std::move(s)}, reached{source.position()}, queue{*this, ahead} {}
    Batch next() override { return source.next(); }
    Position position() const override { return source.position(); }
  };

  /// The source without its thread, where the consumer is: a refused change then changes nothing.
  Source& back() {
    work_->queue.stop();
    work_->source.seek(work_->reached);
    return work_->source;
  }

  std::unique_ptr<Work> work_;
};

struct PrefetchStage {
  using pipe_role = DataRole;
  std::int64_t ahead;
  explicit PrefetchStage(std::int64_t n) : ahead{n} {}
  template <class Source>
  auto operator()(Source&& source) const {
    static_assert(requires(std::remove_cvref_t<Source>& s) {
      { s.next() } -> std::same_as<Batch>;
      s.seek(s.position());
    },
                  "prefetch: the source must give batches (put batch(B) before prefetch(n))");
    return Prefetched<std::remove_cvref_t<Source>>{std::forward<Source>(source), ahead};
  }
};

/// Prepares up to `ahead` batches, beside the one under work, while the consumer computes.
/// Errors: ArgumentError for fewer than 1.
/// Example: `text(folder, tokenizer) | pack(1024) | shuffle(42) | batch(32) | prefetch(4)`.
PrefetchStage prefetch(std::int64_t ahead);

#if LIERNE_BODIES
namespace detail {

struct AheadQueue::State {
  struct Ready {
    Batch batch;
    Position after;
    std::exception_ptr error;
  };

  AheadSource& source;
  std::size_t ahead;
  std::mutex mutex{};
  std::condition_variable_any changed{};
  std::deque<Ready> ready{};
  std::jthread thread{};

  void run(std::stop_token const& stopped) {
    for (bool failed = false; !failed;) {
      Ready item;
      try {
        item.batch = source.next();
        item.after = source.position();
      } catch (...) {
        item.error = std::current_exception();
        failed = true;
      }
      std::unique_lock lock{mutex};
      if (!changed.wait(lock, stopped, [&] { return ready.size() < ahead; })) return;
      ready.push_back(std::move(item));
      lock.unlock();
      changed.notify_all();
    }
  }
};

LIERNE_INLINE AheadQueue::AheadQueue(AheadSource& source, std::int64_t ahead)
    : state_{new State{.source = source, .ahead = static_cast<std::size_t>(ahead)}} {}

LIERNE_INLINE AheadQueue::~AheadQueue() { stop(); }

LIERNE_INLINE void AheadQueue::stop() {
  if (state_->thread.joinable()) {
    state_->thread.request_stop();
    state_->thread.join();
  }
  state_->ready.clear();
}

LIERNE_INLINE std::pair<Batch, Position> AheadQueue::next() {
  auto& state = *state_;
  if (!state.thread.joinable())
    state.thread = std::jthread{[&state](std::stop_token const& stopped) { state.run(stopped); }};
  std::unique_lock lock{state.mutex};
  state.changed.wait(lock, [&] { return !state.ready.empty(); });
  // An error stays: the thread has ended, and no later batch would be the right one.
  if (state.ready.front().error) std::rethrow_exception(state.ready.front().error);
  auto front = std::move(state.ready.front());
  state.ready.pop_front();
  lock.unlock();
  state.changed.notify_all();
  return {std::move(front.batch), front.after};
}

}  // namespace detail

LIERNE_INLINE PrefetchStage prefetch(std::int64_t ahead) {
  check(ahead >= 1, "prefetch: expected at least 1 batch ahead, found ", ahead);
  return PrefetchStage{ahead};
}
#endif

}  // namespace lierne
