// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/safetensors_header.hpp"

#include <doctest/doctest.h>

using lierne::FileError;
using lierne::parse_safetensors_header;

static_assert(lierne::safetensors_dtype_bytes("BF16") == 2);
static_assert(lierne::safetensors_dtype_bytes("F31") == 0);

TEST_CASE("a header lists its tensors in the order of their data") {
  auto const header = parse_safetensors_header(
      "f", R"({"b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},
               "a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"__metadata__":{"k":"v"}})", 28);
  REQUIRE(header.entries.size() == 2);
  CHECK(header.entries[0].name == "a");
  CHECK(header.entries[1].name == "b");
  CHECK(header.entries[1].shape == std::vector<std::int64_t>{2, 3});
  CHECK(header.metadata.at("k") == "v");
}

TEST_CASE("empty tensors and scalars are tensors") {
  auto const header = parse_safetensors_header(
      "f", R"({"e":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]},"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})", 8);
  CHECK(header.entries.size() == 2);
}

TEST_CASE("what is wrong with a header is said") {
  auto const fails = [](char const* json, std::uint64_t bytes, char const* words) {
    try {
      parse_safetensors_header("file.safetensors", json, bytes);
      FAIL("accepted: ", json);
    } catch (FileError const& error) {
      CAPTURE(error.what());
      CHECK(std::string(error.what()).find(words) != std::string::npos);
      CHECK(std::string(error.what()).starts_with("file.safetensors: "));
    }
  };
  fails("{", 0, "expected JSON");
  fails("[]", 0, "expected a JSON object");
  fails(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4,
        "'a' appears twice");
  fails(R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, "unknown dtype 'F31'");
  fails(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "takes 8 bytes, its data_offsets hold 4");
  fails(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "leave the file's 4 bytes");
  fails(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "expected a non-negative integer");
  fails(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8, "64 bits");
  fails(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "expected its data at byte 0");
  fails(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "expected 4 bytes of data, found 8");
  fails(R"({"a":{"dtype":"F32","shape":[1]}})", 4, "two data_offsets");
  fails(R"({"__metadata__":{"k":1}})", 0, "expected a string");
  fails(R"({"a":[[[[[[]]]]]]})", 0, "levels of nesting");
}
