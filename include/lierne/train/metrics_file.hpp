// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl: a run's numbers for programs, one JSON object a line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/train/sink.hpp"

#if LIERNE_BODIES
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "lierne/core/error.hpp"
#include "lierne/core/write_file.hpp"
#endif

namespace lierne {

/// One JSON object a line: steps have `grad_norm`, validations `validation_loss`, samples `sample`. Each line is flushed.
/// A number that is not finite is null.
/// Errors: `FileError` naming the file that cannot be made or written, or the line of a file to go on with that is none of ours.
class MetricsFile final : public Sink {
 public:
  /// Makes `folder`/metrics.jsonl anew; the folder is made if missing.
  explicit MetricsFile(std::filesystem::path const& folder) : MetricsFile(folder, 0) {}
  /// Goes on after step `resumed`: later lines, and a last one that a stop has cut short, are cut off. 0: anew.
  MetricsFile(std::filesystem::path const& folder, std::int64_t resumed);

  void write(StepMetrics const& m) override;
  void write(ValidationMetrics const& m) override;
  void write(TextSample const& sample) override;

 private:
  void line(std::string const& object);

  std::filesystem::path path_;
  std::ofstream out_;
};

/// Gives what `folder`/metrics.jsonl holds to a sink, in its order; nothing where there is no such file. What is no key of
/// a step comes back as a number of the model. Errors: `FileError` naming the line that is none of a run's.
void replay_metrics(std::filesystem::path const& folder, Sink& sink);

#if LIERNE_BODIES
namespace detail {

// Calls `take(object, end)` for every whole line; `end` is the place behind it.
template <class Take>
void each_metrics_line(std::filesystem::path const& path, Take&& take) {
  std::ifstream in(path, std::ios::binary);
  std::string text;
  std::uintmax_t end = 0;
  for (std::int64_t number = 1; std::getline(in, text); ++number) {
    end += text.size() + 1;
    if (in.eof()) return;  // cut short: the line has no end
    try {
      auto const object = nlohmann::json::parse(text);
      object.at("step").get<std::int64_t>();
      if (!take(object, end)) return;
    } catch (nlohmann::json::exception const& error) {
      check<FileError>(false, path.string(), ":", number, ": expected an object with a step, found '", text.substr(0, 60), "': ",
                       error.what());
    }
  }
}

inline double finite_or_nan(nlohmann::json const& object, char const* key) {
  auto const& value = object.at(key);
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

}  // namespace detail

LIERNE_INLINE MetricsFile::MetricsFile(std::filesystem::path const& folder, std::int64_t resumed)
    : path_(folder / "metrics.jsonl") {
  make_folder(folder, "run directory");
  if (resumed > 0 && std::filesystem::exists(path_)) {
    std::uintmax_t kept = 0;
    detail::each_metrics_line(path_, [&](nlohmann::json const& object, std::uintmax_t end) {
      if (object["step"].get<std::int64_t>() > resumed) return false;
      kept = end;
      return true;
    });
    std::error_code failed;
    std::filesystem::resize_file(path_, kept, failed);
    check<FileError>(!failed, path_.string(), ": could not be cut after step ", resumed, ": ", failed.message());
  }
  out_.open(path_, std::ios::binary | (resumed > 0 ? std::ios::app : std::ios::trunc));
  check<FileError>(out_.good(), path_.string(), ": cannot be written");
}

LIERNE_INLINE void MetricsFile::write(StepMetrics const& m) {
  nlohmann::ordered_json object{{"step", m.step}, {"loss", m.loss}, {"grad_norm", m.grad_norm}, {"rate", m.rate},
                              {"tokens_per_s", m.tokens_per_s}, {"seconds", m.seconds}, {"elapsed", m.elapsed},
                              {"tokens", m.tokens}, {"data_seconds", m.data_seconds}};
  if (m.skipped) object["skipped"] = true;
  for (auto const* measured : {&m.optimizer, &m.model}) {
    for (auto const& [key, value] : *measured) object[key] = value;
  }
  line(object.dump());
}

LIERNE_INLINE void MetricsFile::write(ValidationMetrics const& m) {
  line(nlohmann::ordered_json{
      {"step", m.step}, {"validation_loss", m.loss}, {"bits_per_byte", m.bits_per_byte}, {"seconds", m.seconds}}
           .dump());
}

LIERNE_INLINE void MetricsFile::write(TextSample const& sample) {
  // A text of tokens may end in the middle of a character.
  line(nlohmann::ordered_json{{"step", sample.step}, {"sample", sample.text}}.dump(
      -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

LIERNE_INLINE void MetricsFile::line(std::string const& object) {
  out_ << object << '\n';
  out_.flush();
  check<FileError>(out_.good(), path_.string(), ": could not be written (disk full?)");
}

LIERNE_INLINE void replay_metrics(std::filesystem::path const& folder, Sink& sink) {
  detail::each_metrics_line(folder / "metrics.jsonl", [&](nlohmann::json const& object, std::uintmax_t) {
    auto const real = [&](char const* key) { return detail::finite_or_nan(object, key); };
    auto const step = object.at("step").get<std::int64_t>();
    if (object.contains("sample")) {
      sink.write(TextSample{.step = step, .text = object["sample"].get<std::string>()});
    } else if (object.contains("validation_loss")) {
      sink.write(ValidationMetrics{.step = step, .loss = real("validation_loss"), .bits_per_byte = real("bits_per_byte"),
                                   .seconds = real("seconds")});
    } else {
      StepMetrics m{.step = step, .loss = real("loss"), .grad_norm = real("grad_norm"), .rate = real("rate"),
                    .tokens_per_s = real("tokens_per_s"), .seconds = real("seconds"), .elapsed = real("elapsed"),
                    .tokens = object.at("tokens").get<std::int64_t>(), .data_seconds = real("data_seconds")};
      for (auto const& [key, value] : object.items()) {
        if (key.find('/') != std::string::npos) m.model[key] = detail::finite_or_nan(object, key.c_str());
      }
      sink.write(m);
    }
    return true;
  });
}
#endif

}  // namespace lierne
