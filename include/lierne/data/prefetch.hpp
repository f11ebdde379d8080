// SPDX-License-Identifier: Apache-2.0
// The stage that prepares batches ahead on a thread of its own; order and positions stay those without it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "lierne/core/error.hpp"
#include "lierne/data/batch.hpp"
#include "lierne/data/stage.hpp"

namespace lierne {

/// Up to `ahead` batches that a thread prepares. The thread starts with the first `next` and ends with the object.
/// Errors: what the source throws is thrown by the `next` whose batch it would have been.
template <class Source>
class Prefetched {
 public:
  Prefetched(Source source, std::int64_t ahead) : work_{std::make_unique<Work>(std::move(source), ahead)} {}

  Batch next() { return work_->next(); }
  /// Where the next batch starts that this object gives, however far the thread is ahead of it.
  Position position() const { return work_->position; }
  void seek(Position position) {
    work_->stop();
    work_->source.seek(work_->position);  // where the consumer is: a refused position changes nothing
    work_->source.seek(position);
    work_->position = work_->source.position();
  }
  void shard(Shard shard) {
    work_->stop();
    work_->source.seek(work_->position);
    work_->source.shard(shard);
  }

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
  struct Ready {
    Batch batch;
    Position after;
    std::exception_ptr error;
  };

  /// What the thread and the consumer share; it stays in place when the object moves.
  struct Work {
    Source source;  // the thread's alone while it runs
    std::size_t ahead;
    Position position;  // the consumer's
    std::mutex mutex;
    std::condition_variable_any changed;
    std::deque<Ready> ready;
    std::jthread thread;

    Work(Source s, std::int64_t n)
        : source{std::move(s)}, ahead{static_cast<std::size_t>(n)}, position{source.position()} {}
    ~Work() { stop(); }

    void stop() {
      if (thread.joinable()) {
        thread.request_stop();
        thread.join();
      }
      ready.clear();
    }

    Batch next() {
      if (!thread.joinable()) thread = std::jthread{[this](std::stop_token const& stopped) { run(stopped); }};
      std::unique_lock lock{mutex};
      changed.wait(lock, [&] { return !ready.empty(); });
      // An error stays: the thread has ended, and no later batch would be the right one.
      if (ready.front().error) std::rethrow_exception(ready.front().error);
      auto front = std::move(ready.front());
      ready.pop_front();
      position = front.after;
      lock.unlock();
      changed.notify_all();
      return std::move(front.batch);
    }

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
  std::unique_ptr<Work> work_;
};

struct PrefetchStage {
  using pipe_role = DataRole;
  std::int64_t ahead;
  explicit PrefetchStage(std::int64_t n) : ahead{n} {}
  template <class Source>
  auto operator()(Source&& source) const {
    static_assert(requires(std::remove_cvref_t<Source>& s) { s.next(); s.position(); s.seek(Position{}); },
                  "prefetch: the source must give batches (put batch(B) before prefetch(n))");
    return Prefetched<std::remove_cvref_t<Source>>{std::forward<Source>(source), ahead};
  }
};

/// Prepares up to `ahead` batches, beside the one under work, while the consumer computes.
/// Errors: ArgumentError for fewer than 1.
/// Example: `text(folder, tokenizer) | pack(1024) | shuffle(42) | batch(32) | prefetch(4)`.
inline PrefetchStage prefetch(std::int64_t ahead) {
  check(ahead >= 1, "prefetch: expected at least 1 batch ahead, found ", ahead);
  return PrefetchStage{ahead};
}

}  // namespace lierne
