// SPDX-License-Identifier: Apache-2.0
// Reads and writes tensors in the safetensors format. Reading maps the file and executes nothing.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "lierne/checkpoint/safetensors_header.hpp"
#include "lierne/tensor/operations.hpp"
#include "lierne/tensor/tensor.hpp"

namespace lierne {

/// A safetensors file opened for reading: names at once, tensors on demand.
/// Errors: `FileError` naming the file, the tensor, what was expected and found.
/// Example: `auto file = SafeTensors::open("w.safetensors"); Tensor w = file.tensor("norm.weight");`
class SafeTensors {
 public:
  static SafeTensors open(std::string const& path);

  std::vector<std::string> names() const;
  bool contains(std::string const& name) const { return index_.contains(name); }
  /// A copy of the tensor on the CPU, in the file's dtype.
  Tensor tensor(std::string const& name) const;
  std::map<std::string, std::string> const& metadata() const { return header_.metadata; }
  std::string const& path() const { return path_; }

 private:
  std::string path_;
  std::shared_ptr<char const> map_;
  std::uint64_t data_offset_ = 0;
  SafeTensorsHeader header_;
  std::map<std::string, std::size_t> index_;
};

/// Writes the tensors in the order given, each as contiguous CPU data in its own dtype.
/// Errors: `FileError` when the file cannot be written or a name repeats; `ShapeError` for a dtype that the format lacks.
void write_safetensors(std::string const& path, std::vector<std::pair<std::string, Tensor>> const& tensors,
                       std::map<std::string, std::string> const& metadata = {});

namespace detail {

struct SafeTensorsDtype {
  char const* name;
  Dtype dtype;
};

inline constexpr SafeTensorsDtype safetensors_dtypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat},          {"F16", at::kHalf},         {"BF16", at::kBFloat16},
    {"I64", at::kLong},   {"I32", at::kInt},            {"I16", at::kShort},        {"I8", at::kChar},
    {"U8", at::kByte},    {"F8_E4M3", at::kFloat8_e4m3fn}, {"F8_E5M2", at::kFloat8_e5m2}, {"BOOL", at::kBool}};

inline std::string system_error() { return std::strerror(errno); }

}  // namespace detail

inline SafeTensors SafeTensors::open(std::string const& path) {
  int const file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check<FileError>(file >= 0, path, ": cannot be opened: ", detail::system_error());
  struct stat status {};
  bool const known = ::fstat(file, &status) == 0;
  auto const bytes = static_cast<std::uint64_t>(status.st_size);
  void* map = known && bytes >= 8 ? ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  ::close(file);
  check<FileError>(known && bytes >= 8, path, ": expected a safetensors file of at least 8 bytes, found ", bytes);
  check<FileError>(map != MAP_FAILED, path, ": cannot be mapped: ", detail::system_error());

  SafeTensors result;
  result.path_ = path;
  result.map_ = {static_cast<char const*>(map), [bytes](char const* at) { ::munmap(const_cast<char*>(at), bytes); }};
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, map, 8);
  check<FileError>(header_bytes <= bytes - 8, path, ": header of ", header_bytes, " bytes announced, ", bytes - 8,
                   " bytes follow (truncated, or not a safetensors file)");
  result.data_offset_ = 8 + header_bytes;
  result.header_ = parse_safetensors_header(path, {result.map_.get() + 8, header_bytes}, bytes - result.data_offset_);
  for (std::size_t i = 0; i < result.header_.entries.size(); ++i) result.index_[result.header_.entries[i].name] = i;
  return result;
}

inline std::vector<std::string> SafeTensors::names() const {
  std::vector<std::string> names;
  for (auto const& entry : header_.entries) names.push_back(entry.name);
  return names;
}

inline Tensor SafeTensors::tensor(std::string const& name) const {
  auto const found = index_.find(name);
  check<FileError>(found != index_.end(), path_, ": expected a tensor '", name, "', found none among ",
                   header_.entries.size());
  auto const& entry = header_.entries[found->second];
  for (auto const& [text, dtype] : detail::safetensors_dtypes) {
    if (entry.dtype != text) continue;
    auto tensor = at::empty(entry.shape, at::TensorOptions().dtype(dtype));
    if (entry.end != entry.begin) {
      std::memcpy(tensor.mutable_data_ptr(), map_.get() + data_offset_ + entry.begin, entry.end - entry.begin);
    }
    return tensor;
  }
  throw FileError(message(path_, ": tensor '", name, "': dtype ", entry.dtype, " has no counterpart in LibTorch"));
}

inline void write_safetensors(std::string const& path, std::vector<std::pair<std::string, Tensor>> const& tensors,
                              std::map<std::string, std::string> const& metadata) {
  auto header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<Tensor> data;
  std::uint64_t at = 0;
  for (auto const& [name, tensor] : tensors) {
    char const* dtype = nullptr;
    for (auto const& known : detail::safetensors_dtypes) {
      if (known.dtype == tensor.scalar_type()) dtype = known.name;
    }
    check<ShapeError>(dtype != nullptr, path, ": tensor '", name, "': safetensors has no dtype for ",
                      at::toString(tensor.scalar_type()));
    check<FileError>(!header.contains(name), path, ": tensor '", name, "' is given twice");
    data.push_back(tensor.detach().to(at::kCPU).contiguous());
    header[name] = {{"dtype", dtype}, {"shape", tensor.sizes().vec()}, {"data_offsets", {at, at + tensor.nbytes()}}};
    at += tensor.nbytes();
  }
  auto text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::uint64_t const header_bytes = text.size();
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  check<FileError>(out.good(), path, ": cannot be written: ", detail::system_error());
  out.write(reinterpret_cast<char const*>(&header_bytes), 8);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  for (auto const& tensor : data) {
    out.write(static_cast<char const*>(tensor.const_data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
  }
  out.flush();
  check<FileError>(out.good(), path, ": could not be written whole: ", detail::system_error());
}

}  // namespace lierne
