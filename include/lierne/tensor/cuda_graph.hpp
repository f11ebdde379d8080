// SPDX-License-Identifier: Apache-2.0
// The gate to CUDA graphs: work of a GPU that is captured once and queued again as a whole.
#pragma once

#include <functional>
#include <memory>

#include "lierne/core/error.hpp"
#include "lierne/tensor/tensor.hpp"

#ifdef LIERNE_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>

#include "lierne/tensor/last_operation.hpp"
#endif

namespace lierne {

/// Repeats work without the host's share in it. `CudaGraph` is the one of GPUs; tests have one of the host.
class Recorder {
 public:
  using Work = std::function<void()>;

  Recorder() = default;
  virtual ~Recorder() = default;
  Recorder(Recorder const&) = delete;
  /// Runs work where the recorder has its own: behind what the caller has queued, and before what it queues later.
  virtual void run(Work const& work) = 0;
  /// The same, and refuses work in which the host waits for the device. Errors: `ArgumentError` naming the operator.
  virtual void run_without_waiting(Work const& work) = 0;
  /// Notes what the work queues, in place of an earlier recording. Nothing of it is run.
  virtual void record(Work const& work) = 0;
  /// Queues all that was recorded. Call it inside `run`.
  virtual void repeat() = 0;
};

/// A `Recorder` by a CUDA graph, on a stream of its own. Memory that captured work allocates belongs to the graph until
/// the next recording; what it reads or writes beside that must stay where it is.
/// `run_without_waiting` sets LibTorch's synchronisation debug mode, which holds for the whole process.
/// Errors: `ArgumentError` where there is no GPU for it; `Error` with CUDA's words for work that cannot be captured.
/// Example: `CudaGraph graph(device); graph.run(work); graph.record(work); graph.run([&] { graph.repeat(); });`
class CudaGraph final : public Recorder {
 public:
#ifdef LIERNE_CUDA
  explicit CudaGraph(Device device) : stream_(stream_of(device)) {}

  void run(Work const& work) override {
    auto const caller = c10::cuda::getCurrentCUDAStream(stream_.device_index());
    wait(stream_, caller);
    try {
      c10::cuda::CUDAStreamGuard const guard(stream_);
      work();
    } catch (...) {
      wait(caller, stream_);
      throw;
    }
    wait(caller, stream_);
  }

  void run_without_waiting(Work const& work) override {
    run([&] {
      LastOperation const last;
      WaitingIsError const strict;
      try {
        work();
      } catch (c10::Error const& error) {
        check(!waited(error), "CUDA graph: expected work that the GPU can do alone, found '", last.name(),
              "', in which the host waits for it (keep numbers on the GPU, and read them behind the step)");
        throw;
      }
    });
  }

  void record(Work const& work) override {
    graph_.reset();
    c10::cuda::CUDAStreamGuard const guard(stream_);
    // The graph's memory is not shared with other work, so let it have what nobody uses.
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    try {
      graph->capture_begin();
      try {
        work();
      } catch (...) {
        abandon(*graph);
        throw;
      }
      graph->capture_end();
    } catch (c10::Error const& error) {
      throw Error(message("CUDA graph: the work was not captured: ", error.what_without_backtrace()));
    }
    graph_ = std::move(graph);
  }

  void repeat() override {
    check(graph_ != nullptr, "CUDA graph: expected a recording, found none (call record first)");
    graph_->replay();
  }

 private:
  /// Work in which the host waits for the GPU throws, as long as this lives.
  struct WaitingIsError {
    WaitingIsError() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR); }
    ~WaitingIsError() { c10::cuda::warning_state().set_sync_debug_mode(before); }
    WaitingIsError(WaitingIsError const&) = delete;

    c10::cuda::SyncDebugMode before = c10::cuda::warning_state().get_sync_debug_mode();
  };

  static bool waited(c10::Error const& error) {
    return std::string_view(error.what_without_backtrace()).find("synchronizing CUDA operation") != std::string_view::npos;
  }
  static c10::cuda::CUDAStream stream_of(Device device) {
    check(device.is_cuda() && device.has_index(), "CUDA graph: expected a GPU such as cuda:0, found ", device.str());
    return c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
  }
  /// What `later` is given from now on waits for all that `earlier` has been given.
  static void wait(c10::cuda::CUDAStream const& later, c10::cuda::CUDAStream const& earlier) {
    c10::cuda::CUDAEvent done;
    done.record(earlier);
    done.block(later);
  }
  /// Leaves a capture whose work has failed. The stream must get out of it; that it is invalid is known.
  static void abandon(at::cuda::CUDAGraph& graph) {
    try {
      graph.capture_end();
    } catch (c10::Error const&) {
    }
  }

  c10::cuda::CUDAStream stream_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
#else
  explicit CudaGraph(Device device) {
    check(false, "CUDA graph: ", device.str(), " asked of a program built without CUDA (build it with the cuda preset)");
  }
  void run(Work const&) override {}
  void run_without_waiting(Work const&) override {}
  void record(Work const&) override {}
  void repeat() override {}
#endif
};

}  // namespace lierne
