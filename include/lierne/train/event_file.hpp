// SPDX-License-Identifier: Apache-2.0
// TensorBoard's event files: their records, and a sink that writes a run's numbers into one.
#pragma once

#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "lierne/core/compiled.hpp"
#include "lierne/core/crc32c.hpp"
#include "lierne/train/sink.hpp"

#if LIERNE_BODIES
#include <unistd.h>

#include <chrono>

#include "lierne/core/error.hpp"
#include "lierne/core/write_file.hpp"
#include "lierne/data/utf8.hpp"
#endif

namespace lierne {

namespace detail {

/// A message of protocol buffers, field by field, in the wire format.
/// Source: protobuf.dev/programming-guides/encoding.
class WireMessage {
 public:
  WireMessage& varint(int field, std::uint64_t value) { return tag(field, 0).raw_varint(value); }
  WireMessage& real64(int field, double value) { return tag(field, 1).little_endian(std::bit_cast<std::uint64_t>(value), 8); }
  WireMessage& real32(int field, float value) { return tag(field, 5).little_endian(std::bit_cast<std::uint32_t>(value), 4); }
  WireMessage& bytes(int field, std::string_view value) {
    tag(field, 2).raw_varint(value.size());
    bytes_ += value;
    return *this;
  }
  WireMessage& message(int field, WireMessage const& inner) { return bytes(field, inner.bytes_); }
  std::string const& str() const { return bytes_; }

 private:
  WireMessage& tag(int field, unsigned wire) { return raw_varint(static_cast<std::uint64_t>(field) << 3 | wire); }
  WireMessage& raw_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  WireMessage& little_endian(std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes_ += static_cast<char>(value >> (8 * i));
    return *this;
  }

  std::string bytes_;
};

/// A record of a TFRecord file: its length and its bytes, each with its masked checksum behind it.
/// Source: tensorflow.org/tutorials/load_data/tfrecord.
inline std::string tf_record(std::string_view data) {
  std::string record;
  auto const append = [&](std::uint64_t value, int count) {
    for (int i = 0; i < count; ++i) record += static_cast<char>(value >> (8 * i));
  };
  auto const masked = [](std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8U; };
  append(data.size(), 8);
  append(masked(record), 4);
  record += data;
  append(masked(data), 4);
  return record;
}

}  // namespace detail

/// An event file for TensorBoard in the run's folder: scalars under their keys in metrics.jsonl (validations under
/// `validation/`), rounded to float32, and the samples as text. Each record is flushed.
/// Errors: `FileError` naming the file that cannot be made or written.
class EventFile final : public Sink {
 public:
  /// Makes a file in `folder`, which is made if missing. 0: anew, the folder's earlier files of this class are removed; else
  /// it says that the run goes on after step `resumed`, and TensorBoard drops what earlier files hold of later steps.
  explicit EventFile(std::filesystem::path const& folder, std::int64_t resumed = 0);

  void write(StepMetrics const& m) override;
  void write(ValidationMetrics const& m) override;
  void write(TextSample const& sample) override;
  std::filesystem::path const& path() const { return path_; }

 private:
  // `field` is that of the event which holds `inner`.
  void event(std::int64_t step, int field, std::string_view inner);

  std::filesystem::path path_;
  std::ofstream out_;
};

#if LIERNE_BODIES
namespace detail {

// Fields of Event: wall_time 1, step 2, file_version 3, summary 5, session_log 7; of Summary: value 1; of its Value: tag 1,
// simple_value 2, tensor 8, metadata 9.
inline WireMessage scalar_value(std::string_view tag, double value) {
  return WireMessage().bytes(1, tag).real32(2, static_cast<float>(value));
}

// TensorProto: dtype 1 (7 is a string), tensor_shape 2 (dim 2, its size 1), string_val 8. SummaryMetadata: plugin_data 1,
// its plugin_name 1.
inline WireMessage text_value(std::string_view tag, std::string_view text) {
  WireMessage const shape = WireMessage().message(2, WireMessage().varint(1, 1));
  return WireMessage()
      .bytes(1, tag)
      .message(8, WireMessage().varint(1, 7).message(2, shape).bytes(8, text))
      .message(9, WireMessage().message(1, WireMessage().bytes(1, "text")));
}

}  // namespace detail

LIERNE_INLINE EventFile::EventFile(std::filesystem::path const& folder, std::int64_t resumed) {
  constexpr std::string_view begin = "events.out.tfevents.", end = ".lierne";
  make_folder(folder, "run directory");
  if (resumed == 0) {
    for (auto const& entry : std::filesystem::directory_iterator(folder)) {
      auto const name = entry.path().filename().string();
      if (name.starts_with(begin) && name.ends_with(end)) std::filesystem::remove(entry.path());
    }
  }
  // TensorBoard reads a folder's files in the order of their names, so the time stands first, with all its digits.
  auto const now = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  path_ = folder / message(begin, now / 1'000'000'000, ".", std::to_string(1'000'000'000 + now % 1'000'000'000).substr(1), ".",
                           static_cast<std::int64_t>(::getpid()), end);
  out_.open(path_, std::ios::binary | std::ios::trunc);
  check<FileError>(out_.good(), path_.string(), ": cannot be written");
  event(0, 3, "brain.Event:2");
  // A session that starts (status 1) at a step ends all that was said of that step and later ones.
  if (resumed > 0) event(resumed + 1, 7, detail::WireMessage().varint(1, 1).str());
}

LIERNE_INLINE void EventFile::event(std::int64_t step, int field, std::string_view inner) {
  double const now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  out_ << detail::tf_record(
      detail::WireMessage().real64(1, now).varint(2, static_cast<std::uint64_t>(step)).bytes(field, inner).str());
  out_.flush();
  check<FileError>(out_.good(), path_.string(), ": could not be written (disk full?)");
}

LIERNE_INLINE void EventFile::write(StepMetrics const& m) {
  detail::WireMessage summary;
  auto const add = [&](std::string_view tag, double value) { summary.message(1, detail::scalar_value(tag, value)); };
  add("loss", m.loss);
  add("grad_norm", m.grad_norm);
  add("rate", m.rate);
  add("tokens_per_s", m.tokens_per_s);
  add("seconds", m.seconds);
  add("data_seconds", m.data_seconds);
  for (auto const* measured : {&m.optimizer, &m.model}) {
    for (auto const& [key, value] : *measured) add(key, value);
  }
  event(m.step, 5, summary.str());
}

LIERNE_INLINE void EventFile::write(ValidationMetrics const& m) {
  event(m.step, 5,
        detail::WireMessage()
            .message(1, detail::scalar_value("validation/loss", m.loss))
            .message(1, detail::scalar_value("validation/bits_per_byte", m.bits_per_byte))
            .str());
}

LIERNE_INLINE void EventFile::write(TextSample const& sample) {
  event(sample.step, 5, detail::WireMessage().message(1, detail::text_value("sample", replace_invalid(sample.text))).str());
}
#endif

}  // namespace lierne
