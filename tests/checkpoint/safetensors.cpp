// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/safetensors.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "lierne/tensor/operations.hpp"

using namespace lierne;

namespace {
std::string scratch(char const* name) { return (std::filesystem::temp_directory_path() / name).string(); }
}  // namespace

TEST_CASE("a file of the original program reads as it was written") {
  auto const file = SafeTensors::open(LIERNE_GOLDEN "/llama3_gqa.safetensors");
  CHECK(file.tensor("tokens").sizes() == at::IntArrayRef({2, 32}));
  CHECK((file.tensor("tokens").scalar_type() == int64));
  CHECK((file.tensor("losses").scalar_type() == float64));
  CHECK(file.tensor("w0/norm.weight").equal(at::ones({64})));
  CHECK(file.metadata().at("format") == "pt");
}

TEST_CASE("write, then read, is the identity for every dtype, empty and scalar tensors included") {
  auto const path = scratch("lierne_safetensors_law.safetensors");
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (auto const& [name, dtype] : lierne::detail::safetensors_dtypes) {
    tensors.emplace_back(name, at::arange(6).reshape({2, 3}).to(dtype));
  }
  tensors.emplace_back("empty", at::empty({0, 4}));
  tensors.emplace_back("scalar", at::scalar_tensor(2.5));
  tensors.emplace_back("transposed", at::arange(6.0).reshape({2, 3}).t());
  write_safetensors(path, tensors, {{"rule", "adamw"}});
  auto const file = SafeTensors::open(path);
  CHECK(file.names().size() == tensors.size());
  CHECK(file.metadata().at("rule") == "adamw");
  for (auto const& [name, tensor] : tensors) {
    CAPTURE(name);
    auto const read = file.tensor(name);
    CHECK((read.scalar_type() == tensor.scalar_type()));
    CHECK(read.sizes() == tensor.sizes());
    CHECK(read.to(at::kFloat).equal(tensor.to(at::kFloat)));
  }
}

TEST_CASE("a file that cannot be read says why") {
  CHECK_THROWS_WITH_AS(SafeTensors::open("/nowhere/x"), doctest::Contains("cannot be opened"), FileError);
  auto const path = scratch("lierne_safetensors_broken.safetensors");
  std::ofstream(path, std::ios::binary) << "short";
  CHECK_THROWS_WITH_AS(SafeTensors::open(path), doctest::Contains("at least 8 bytes, found 5"), FileError);
  std::ofstream(path, std::ios::binary | std::ios::trunc).write("\xff\xff\0\0\0\0\0\0{}", 10);
  CHECK_THROWS_WITH_AS(SafeTensors::open(path), doctest::Contains("65535 bytes announced, 2 bytes follow"), FileError);
  auto const good = SafeTensors::open(LIERNE_GOLDEN "/llama3_gqa.safetensors");
  CHECK_THROWS_WITH_AS(good.tensor("w9"), doctest::Contains("expected a tensor 'w9'"), FileError);
  CHECK_THROWS_AS(write_safetensors("/nowhere/x", {}), FileError);
  CHECK_THROWS_WITH_AS(write_safetensors(path, {{"z", at::zeros({1}, at::kComplexFloat)}}), doctest::Contains("no dtype"),
                       ShapeError);
  CHECK_THROWS_WITH_AS(write_safetensors(path, {{"__metadata__", at::zeros({1})}}), doctest::Contains("'__metadata__' is"), FileError);
  CHECK_THROWS_WITH_AS(write_safetensors(path, {{"a", at::zeros({1})}, {"a", at::zeros({1})}}), doctest::Contains("given twice"), FileError);
}
