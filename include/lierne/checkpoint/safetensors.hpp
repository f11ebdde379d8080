// SPDX-License-Identifier: Apache-2.0
// Reads and writes tensors in the safetensors format. Reading maps the file and executes nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lierne/checkpoint/safetensors_header.hpp"
#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"
#include "lierne/tensor/function_ref.hpp"
#include "lierne/tensor/tensor.hpp"

#if LIERNE_BODIES
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lierne/checkpoint/input_file.hpp"
#include "lierne/tensor/operations.hpp"
#endif

namespace lierne {

/// Tensors with their names, in an order.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// A safetensors file opened for reading: names at once, tensors on demand.
/// Errors: `FileError` naming the file, the tensor, what was expected and found.
/// Example: `auto file = SafeTensors::open("w.safetensors"); Tensor w = file.tensor("norm.weight");`
class SafeTensors {
 public:
  static SafeTensors open(std::string const& path);

  /// In the order of their data.
  std::vector<std::string> names() const;
  bool contains(std::string const& name) const { return index_.contains(name); }
  /// Shape and dtype without reading the tensor. Errors: as `tensor`.
  Shape const& shape(std::string const& name) const { return entry(name).shape; }
  Dtype dtype(std::string const& name) const;
  /// A copy of the tensor on the CPU, in the file's dtype.
  Tensor tensor(std::string const& name) const;
  std::map<std::string, std::string> const& metadata() const { return header_.metadata; }
  std::string const& path() const { return path_; }

 private:
  SafeTensorsEntry const& entry(std::string const& name) const;

  std::string path_;
  std::shared_ptr<char const> map_;
  std::uint64_t data_offset_ = 0;
  SafeTensorsHeader header_;
  std::map<std::string, std::size_t> index_;
};

/// Writes the tensors in the order given, each as contiguous CPU data in its own dtype.
/// Errors: `FileError` when the file cannot be written or a name repeats; `ShapeError` for a dtype that the format lacks, and
/// for a name that is not UTF-8.
void write_safetensors(std::string const& path, NamedTensors const& tensors,
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

/// How the bytes of a file come to be.
struct SafeTensorsWriting {
  std::string path;                            ///< what errors name
  std::map<std::string, std::string> metadata{};
  Dtype floating = at::ScalarType::Undefined;  ///< what floating tensors of 16 bits and more are rounded to; undefined: nothing
};

/// Whether writing a tensor with this `floating` changes its dtype.
bool rounds(Tensor const& tensor, Dtype floating);

/// Gives `sink` the file in pieces, from its beginning to its end. All errors but those of `sink` come before its first call.
/// Contiguous tensors on the CPU that keep their dtype are handed on as they lie, others are copied one after another.
void stream_safetensors(FunctionRef<void(std::string_view)> sink, NamedTensors const& tensors, SafeTensorsWriting const& how);

}  // namespace detail

#if LIERNE_BODIES
LIERNE_INLINE SafeTensors SafeTensors::open(std::string const& path) {
  InputFile const file(path);
  struct stat status {};
  check<FileError>(::fstat(file.descriptor(), &status) == 0, path, ": cannot be looked at: ", detail::system_error());
  auto const bytes = static_cast<std::uint64_t>(status.st_size);
  check<FileError>(bytes >= 8, path, ": expected a safetensors file of at least 8 bytes, found ", bytes);
  void* const map = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
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

LIERNE_INLINE std::vector<std::string> SafeTensors::names() const {
  std::vector<std::string> names;
  for (auto const& entry : header_.entries) names.push_back(entry.name);
  return names;
}

LIERNE_INLINE SafeTensorsEntry const& SafeTensors::entry(std::string const& name) const {
  auto const found = index_.find(name);
  check<FileError>(found != index_.end(), path_, ": expected a tensor '", name, "', found none among ",
                   header_.entries.size());
  return header_.entries[found->second];
}

LIERNE_INLINE Dtype SafeTensors::dtype(std::string const& name) const {
  auto const& found = entry(name);
  for (auto const& [text, dtype] : detail::safetensors_dtypes) {
    if (found.dtype == text) return dtype;
  }
  throw FileError(message(path_, ": tensor '", name, "': dtype ", found.dtype, " has no counterpart in LibTorch"));
}

LIERNE_INLINE Tensor SafeTensors::tensor(std::string const& name) const {
  auto const& found = entry(name);
  auto tensor = at::empty(found.shape, at::TensorOptions().dtype(dtype(name)));
  if (found.end != found.begin) {
    std::memcpy(tensor.mutable_data_ptr(), map_.get() + data_offset_ + found.begin, found.end - found.begin);
  }
  return tensor;
}

LIERNE_INLINE bool detail::rounds(Tensor const& tensor, Dtype floating) {
  return floating != at::ScalarType::Undefined && floating != tensor.scalar_type() && at::isFloatingType(tensor.scalar_type()) &&
         tensor.element_size() > 1;
}

LIERNE_INLINE void detail::stream_safetensors(FunctionRef<void(std::string_view)> sink, NamedTensors const& tensors,
                                              SafeTensorsWriting const& how) {
  auto header = nlohmann::json::object();
  if (!how.metadata.empty()) header["__metadata__"] = how.metadata;
  std::vector<Dtype> dtypes;
  std::uint64_t at = 0;
  for (auto const& [name, tensor] : tensors) {
    auto const dtype = dtypes.emplace_back(rounds(tensor, how.floating) ? how.floating : tensor.scalar_type());
    char const* text = nullptr;
    for (auto const& known : safetensors_dtypes) {
      if (known.dtype == dtype) text = known.name;
    }
    check<ShapeError>(text != nullptr, how.path, ": tensor '", name, "': safetensors has no dtype for ", at::toString(dtype));
    check<FileError>(name != "__metadata__" && !header.contains(name), how.path, ": tensor '", name, "' is given twice");
    auto const bytes = static_cast<std::uint64_t>(tensor.numel()) * c10::elementSize(dtype);
    header[name] = {{"dtype", text}, {"shape", tensor.sizes().vec()}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (nlohmann::json::exception const& error) {
    throw ShapeError(message(how.path, ": expected names of tensors in UTF-8: ", error.what()));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::uint64_t const header_bytes = text.size();
  sink({reinterpret_cast<char const*>(&header_bytes), 8});
  sink(text);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto const data = tensors[i].second.detach().to(at::kCPU, dtypes[i]).contiguous();
    sink({static_cast<char const*>(data.const_data_ptr()), data.nbytes()});
  }
}

LIERNE_INLINE void write_safetensors(std::string const& path, NamedTensors const& tensors,
                                     std::map<std::string, std::string> const& metadata) {
  std::ofstream out;
  detail::stream_safetensors(
      [&](std::string_view bytes) {
        if (!out.is_open()) {
          out.open(path, std::ios::binary | std::ios::trunc);
          check<FileError>(out.good(), path, ": cannot be written: ", detail::system_error());
        }
        out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      },
      tensors, {.path = path, .metadata = metadata});
  out.close();
  check<FileError>(out.good(), path, ": could not be written whole: ", detail::system_error());
}
#endif

}  // namespace lierne
