// SPDX-License-Identifier: Apache-2.0
// Megabytes a second of saving and opening a checkpoint, beside the bare system calls for as many bytes on the same disk, in turn.
//   bench_checkpoint [--megabytes 1024] [--passes 5] [--out FOLDER] [--json FILE]
#include <fcntl.h>
#include <lierne/checkpoint/checkpoint.hpp>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/tensor/operations.hpp"

namespace {

namespace fs = std::filesystem;
namespace ln = lierne;

constexpr double mega = 1e6;

double seconds(auto const& work) {
  auto const start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void write_bare(fs::path const& path, std::vector<ln::Tensor> const& tensors) {
  int const file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  ln::check<ln::FileError>(file >= 0, path.string(), ": cannot be opened");
  for (auto const& tensor : tensors) {
    auto const written = ::write(file, tensor.const_data_ptr(), tensor.nbytes());
    ln::check<ln::FileError>(written == static_cast<::ssize_t>(tensor.nbytes()), path.string(), ": cannot be written");
  }
  ln::check<ln::FileError>(::fsync(file) == 0 && ::close(file) == 0, path.string(), ": cannot be put on the disk");
}

void read_bare(fs::path const& path) {
  std::vector<char> part(std::size_t{1} << 20);
  int const file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  while (::read(file, part.data(), part.size()) > 0) {}
  ::close(file);
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t megabytes = 1024, passes = 5;
  fs::path out = fs::temp_directory_path();
  std::string json;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const option = argv[i], value = argv[i + 1];
    if (option == "--megabytes") {
      megabytes = std::stoll(value);
    } else if (option == "--passes") {
      passes = std::stoll(value);
    } else if (option == "--out") {
      out = value;
    } else if (option == "--json") {
      json = value;
    } else {
      std::cerr << "unknown option " << option << '\n';
      return 2;
    }
  }
  out /= "lierne-bench-checkpoint-" + std::to_string(::getpid());
  fs::create_directories(out);

  ln::CheckpointContent content{.step = 1};
  std::vector<ln::Tensor> tensors;
  for (std::int64_t i = 0; i < megabytes / 16; ++i) {
    auto const tensor = at::empty({1 << 22}, at::TensorOptions().dtype(ln::float32));
    auto* const values = tensor.mutable_data_ptr<float>();
    for (std::int64_t k = 0; k < tensor.numel(); ++k) values[k] = static_cast<float>(k * 2654435761 % 1000003);
    tensors.push_back(tensor);
    content.weights.emplace_back("layers." + std::to_string(i) + ".weight", tensor);
  }
  auto const bytes = static_cast<double>(tensors.size()) * (1 << 24);
  double save = 1e9, bare_save = 1e9, open = 1e9, bare_read = 1e9;  // the quickest of each
  for (std::int64_t pass = 0; pass < passes; ++pass) {
    fs::remove_all(out / "checkpoints");
    fs::remove(out / "bare");
    bare_save = std::min(bare_save, seconds([&] { write_bare(out / "bare", tensors); }));
    bare_read = std::min(bare_read, seconds([&] { read_bare(out / "bare"); }));
    fs::remove(out / "bare");
    save = std::min(save, seconds([&] { ln::CheckpointWriter(out).save(content); }));
    open = std::min(open, seconds([&] { ln::Checkpoint::open(out); }));
  }
  fs::remove_all(out);

  nlohmann::ordered_json rows;
  auto const report = [&](char const* name, double ours, double peer, char const* peer_name) {
    rows.push_back({{"name", name}, {"ours", bytes / mega / ours}, {"peer", bytes / mega / peer}, {"peer_name", peer_name},
                    {"ratio", peer / ours}, {"unit", "MB/s"}});
    std::cout << name << ": " << bytes / mega / ours << " MB/s, " << peer_name << ' ' << bytes / mega / peer << ", ratio "
              << peer / ours << '\n';
  };
  report("save", save, bare_save, "write and fsync");
  report("open", open, bare_read, "read");
  if (!json.empty()) std::ofstream(json) << rows.dump(1) << '\n';
}
