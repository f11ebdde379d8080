// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/event_file.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <sstream>
#include <vector>

#include "lierne/core/error.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

fs::path fresh(char const* name) {
  auto const folder = fs::temp_directory_path() / "lierne_event_file" / name;
  fs::remove_all(folder);
  return folder;
}

std::string read(fs::path const& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// The records of a file by their lengths; fails unless they cover it.
std::vector<std::string> records(std::string const& file) {
  std::vector<std::string> all;
  std::size_t at = 0;
  while (at < file.size()) {
    REQUIRE(at + 12 <= file.size());
    std::uint64_t length = 0;
    for (int i = 0; i < 8; ++i) length |= std::uint64_t{static_cast<unsigned char>(file[at + static_cast<std::size_t>(i)])} << (8 * i);
    REQUIRE(at + 16 + length <= file.size());
    all.push_back(file.substr(at + 12, length));
    at += 16 + length;
  }
  return all;
}

void write_run(EventFile& file, std::int64_t from, std::int64_t to, double shift) {
  for (auto k = from; k <= to; ++k) {
    file.write(StepMetrics{.step = k, .steps = 300, .loss = 8.0 / static_cast<double>(k) + shift, .grad_norm = 0.5, .rate = 1e-3,
                           .tokens_per_s = 1000, .seconds = 0.25, .data_seconds = 0.125,
                           .model = {{"activation/norm/rms", 0.75}}});
    if (k % 100 == 0) file.write(ValidationMetrics{.step = k, .loss = 2 + shift, .bits_per_byte = 1.5});
  }
}

}  // namespace

TEST_CASE("fields have the bytes of the encoding's documentation") {
  using detail::WireMessage;
  CHECK(WireMessage().varint(1, 150).str() == "\x08\x96\x01");
  CHECK(WireMessage().bytes(2, "testing").str() == "\x12\x07testing");
  CHECK(WireMessage().message(3, WireMessage().varint(1, 150)).str() == "\x1a\x03\x08\x96\x01");
  CHECK(WireMessage().real64(1, 1.0).str() == std::string("\x09\0\0\0\0\0\0\xf0\x3f", 9));
  CHECK(WireMessage().real32(2, 1.0F).str() == std::string("\x15\0\0\x80\x3f", 5));
  CHECK(WireMessage().varint(16, ~std::uint64_t{0}).str() == "\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  CHECK(WireMessage().varint(1, 0).str() == std::string("\x08\0", 2));
}

TEST_CASE("a record is its length, its bytes, and a masked checksum of each") {
  auto const record = detail::tf_record("123456789");
  CHECK(record.size() == 8 + 4 + 9 + 4);
  CHECK(record.substr(0, 8) == std::string("\x09\0\0\0\0\0\0\0", 8));
  CHECK(record.substr(12, 9) == "123456789");
  // By hand: crc 0xe3069283 rotated right by 15 is 0x2507c60d; + 0xa282ead8 = 0xc78ab0e5.
  CHECK(record.substr(21) == "\xe5\xb0\x8a\xc7");
}

TEST_CASE("a file is its version and one record for each event") {
  auto const folder = fresh("alone");
  EventFile file(folder);
  file.write(StepMetrics{.step = 300, .loss = 1.0});
  file.write(TextSample{.step = 300, .text = "It was"});
  CHECK(file.path().filename().string().find("tfevents") != std::string::npos);
  auto const all = records(read(file.path()));
  REQUIRE(all.size() == 3);
  CHECK(all[0].ends_with("\x1a\x0d" "brain.Event:2"));
  // step 300 is a varint of two bytes; the first value is `loss` with simple_value 1.
  CHECK(all[1].substr(9, 3) == "\x10\xac\x02");
  CHECK(all[1].find(std::string("\x0a\x04loss\x15\0\0\x80\x3f", 11)) != std::string::npos);
  CHECK(all[2].find("It was") != std::string::npos);
  CHECK(all[2].find("text") != std::string::npos);
}

TEST_CASE("a new run removes the folder's event files, one that goes on keeps them") {
  auto const folder = fresh("again");
  auto const count = [&] { return std::distance(fs::directory_iterator(folder), fs::directory_iterator()); };
  { EventFile file(folder); }
  std::ofstream(folder / "events.out.tfevents.1.other") << "another program's";
  { EventFile file(folder, 5); }
  CHECK(count() == 3);
  { EventFile file(folder); }
  CHECK(count() == 2);
  CHECK(fs::exists(folder / "events.out.tfevents.1.other"));
}

// Written where ctest says, so that TensorBoard's own reader reads it there (tests/train/event_file.py).
TEST_CASE("a run that was stopped and went on, for TensorBoard's reader") {
  auto const* place = std::getenv("LIERNE_EVENTS");
  auto const folder = place != nullptr ? fs::path(place) : fresh("reader");
  fs::remove_all(folder);
  {
    EventFile file(folder);
    write_run(file, 1, 250, 0);
  }
  EventFile file(folder, 200);
  write_run(file, 201, 300, 0.5);
  file.write(TextSample{.step = 300, .text = "It \"was\"\nthe end \xe2\x82"});
  CHECK(records(read(file.path())).size() == 2 + 100 + 1 + 1);
}

TEST_CASE("a folder that cannot be made says so") {
  CHECK_THROWS_WITH_AS(EventFile("/proc/no/such"), doctest::Contains("/proc/no/such"), FileError);
}
