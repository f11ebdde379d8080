// SPDX-License-Identifier: Apache-2.0
// A run to save and to compare with, folders that go away, and children that may die.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "lierne/checkpoint/load.hpp"
#include "lierne/checkpoint/save.hpp"
#include "lierne/core/random.hpp"
#include "lierne/tensor/operations.hpp"

#include <doctest/doctest.h>  // after LibTorch, which has a CHECK of its own

namespace run {

namespace fs = std::filesystem;
using namespace lierne;

/// A folder that is gone afterwards, in memory where the system has such a place: some tests call fsync thousands of times.
struct Folder {
  fs::path path;
  explicit Folder(std::string const& name)
      : path((::access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm") : fs::temp_directory_path()) /
             message("lierne-checkpoint-", name, "-", ::getpid())) {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  Folder(Folder const&) = delete;
  ~Folder() { fs::remove_all(path); }
  fs::path checkpoints() const { return path / "checkpoints"; }
};

inline std::string read(fs::path const& path) {
  std::ostringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

inline void write(fs::path const& path, std::string const& text) { std::ofstream(path, std::ios::binary) << text; }

/// A tensor of random bits: NaN of every payload, denormals and negative zeros among floats.
inline Tensor bits(at::IntArrayRef shape, Dtype dtype, std::uint64_t seed) {
  auto const tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
  Random const random{seed, hash("checkpoint")};
  auto* const bytes = static_cast<unsigned char*>(tensor.mutable_data_ptr());
  for (std::size_t i = 0; i < tensor.nbytes(); ++i) bytes[i] = static_cast<unsigned char>(random.bits(i));
  return tensor;
}

/// What a run of this seed has at a step: every dtype that training uses, scalars and empty tensors.
inline CheckpointContent content(std::int64_t step, std::uint64_t seed = 1) {
  auto const key = seed * 1000 + static_cast<std::uint64_t>(step) * 16;
  CheckpointContent result{.step = step};
  result.weights = {{"layers.0.w1.weight", bits({24, 16}, float32, key)},
                    {"layers.0.w2.weight", bits({16, 24}, float32, key + 1)},
                    {"norm.weight", bits({16}, bfloat16, key + 2)},
                    {"bias", bits({5}, float64, key + 3)},
                    {"seen", bits({3}, int64, key + 4)},
                    {"scalar", bits({}, float32, key + 5)},
                    {"none", bits({0, 4}, float32, key + 6)},
                    {"transposed", bits({3, 5}, float32, key + 7).t()}};
  for (char const* field : {"exp_avg", "exp_avg_sq"}) {
    for (char const* name : {"layers.0.w1.weight", "layers.0.w2.weight"}) {
      result.optimizer[message("optim.state.", name, ".", field)] = bits({24, 16}, float32, key + 8);
    }
  }
  result.optimizer["optim.state.norm.weight.step"] = bits({}, float32, key + 9);
  result.run = {{"generator", bits({40}, at::kByte, key + 10)}};
  result.facts.set("seed", seed).set("data.epoch", -1).set("data.index", std::int64_t{1} << 62).set("rule", "adamw | decay(0.1)");
  result.facts.set("loss", 0.1 + static_cast<double>(step)).set("noisy", true);
  return result;
}

inline bool same(Tensor const& a, Tensor const& b) {
  auto const x = a.contiguous(), y = b.contiguous();
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.numel() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0);
}

/// Where a checkpoint differs from what was to be saved; empty: bit for bit the same.
inline std::string difference(Checkpoint const& saved, CheckpointContent const& wanted) {
  if (saved.step() != wanted.step) return message("step ", saved.step());
  if (!(saved.facts() == wanted.facts)) return "facts";
  if (saved.weights().names().size() != wanted.weights.size()) return "names of weights";
  for (auto const& [name, tensor] : wanted.weights) {
    if (!same(saved.weights().tensor(name), tensor)) return name;
  }
  auto const optimizer = saved.optimizer(), others = saved.run();
  if (optimizer.size() != wanted.optimizer.size() || others.size() != wanted.run.size()) return "names of state";
  for (auto const& [name, tensor] : wanted.optimizer) {
    if (!same(optimizer.at(name), tensor)) return name;
  }
  for (auto const& [name, tensor] : wanted.run) {
    if (!same(others.at(name), tensor)) return name;
  }
  return "";
}

/// Names in the folder of checkpoints that something unfinished has left.
inline std::string left_overs(Folder const& folder) {
  std::string text;
  for (auto const& entry : fs::directory_iterator(folder.checkpoints())) {
    auto const name = entry.path().filename().string();
    if (name.find("partial") != std::string::npos || name.find("replaced") != std::string::npos) text += name + " ";
  }
  return text;
}

/// What a child ends with.
struct Ending {
  int exit = -1;    ///< its status; -1: by a signal
  int signal = 0;
};

inline Ending wait(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? Ending{WEXITSTATUS(status), 0} : Ending{-1, WTERMSIG(status)};
}

/// Starts a copy of this process on `body`: exit status 0 after it, 99 and a line on stderr where it throws. It starts no
/// thread, for those of this process are not in it.
template <class Body>
pid_t start(Body const& body) {
  std::fflush(nullptr);
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child != 0) return child;
  try {
    body();
    ::_exit(0);
  } catch (std::exception const& error) {
    std::fprintf(stderr, "child: %s\n", error.what());
    ::_exit(99);
  }
}

}  // namespace run
