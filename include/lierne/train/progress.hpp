// SPDX-License-Identifier: Apache-2.0
// Where a run's numbers go: a line for people, and one JSON object a step for programs.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/core/error.hpp"

#if LIERNE_BODIES
#include <nlohmann/json.hpp>
#endif

namespace lierne {

/// The numbers of one optimizer step.
struct StepMetrics {
  std::int64_t step = 0;      ///< from 1
  std::int64_t steps = 0;     ///< of the whole run
  double loss = 0;            ///< mean cross entropy before the step, nats a token
  double grad_norm = 0;       ///< before clipping
  double rate = 0;            ///< learning rate that was used
  double tokens_per_s = 0;    ///< of all processes
  double seconds = 0;         ///< this step
  double elapsed = 0;         ///< since the process started, seconds
  std::int64_t tokens = 0;    ///< seen so far by all processes
  double data_seconds = 0;    ///< of this step, waiting for its batch
  std::map<std::string, double> optimizer{};  ///< of a measured step: the rule's monitor
  std::map<std::string, double> model{};      ///< load of experts; of a measured step: probes, and gradient noise
};

/// A validation: mean cross entropy of the held-out text.
struct ValidationMetrics {
  std::int64_t step = 0;
  double loss = 0;           ///< nats a token
  double bits_per_byte = 0;  ///< nats of all held-out tokens / ln 2 / bytes of held-out text
  double seconds = 0;
};

/// One JSON object a line. Errors: `FileError` naming the file that cannot be made or written.
class MetricsFile {
 public:
  /// Makes `folder`/metrics.jsonl anew; the folder is made if missing.
  explicit MetricsFile(std::filesystem::path const& folder);
  void write(StepMetrics const& m);
  void write(ValidationMetrics const& m);

 private:
  void line(std::string const& object);

  std::filesystem::path path_;
  std::ofstream out_;
};

/// The progress line: rewritten in place on a terminal, a line now and then elsewhere.
class Progress {
 public:
  explicit Progress(bool quiet);

  void show(StepMetrics const& m);
  void show(ValidationMetrics const& m);
  void note(std::string const& text);

 private:
  bool quiet_;
  bool terminal_;
  double shown_ = -1e9;
  double average_ = 0;  // of tokens a second; 0 before the first step
};

#if LIERNE_BODIES
LIERNE_INLINE MetricsFile::MetricsFile(std::filesystem::path const& folder) : path_(folder / "metrics.jsonl") {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  check<FileError>(!failed, folder.string(), ": the run directory cannot be made: ", failed.message());
  out_.open(path_, std::ios::trunc);
  check<FileError>(out_.good(), path_.string(), ": cannot be written");
}

LIERNE_INLINE void MetricsFile::write(StepMetrics const& m) {
  nlohmann::ordered_json object{{"step", m.step}, {"loss", m.loss}, {"grad_norm", m.grad_norm}, {"rate", m.rate},
                              {"tokens_per_s", m.tokens_per_s}, {"seconds", m.seconds}, {"elapsed", m.elapsed},
                              {"tokens", m.tokens}, {"data_seconds", m.data_seconds}};
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

LIERNE_INLINE void MetricsFile::line(std::string const& object) {
  out_ << object << '\n';
  out_.flush();
  check<FileError>(out_.good(), path_.string(), ": could not be written (disk full?)");
}

LIERNE_INLINE Progress::Progress(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

LIERNE_INLINE void Progress::show(StepMetrics const& m) {
  if (quiet_) return;
  bool const round = m.step == 1 || m.step == m.steps || m.elapsed - shown_ >= (terminal_ ? 0.1 : 10.0);
  if (!round) return;
  shown_ = m.elapsed;
  average_ = average_ > 0 ? 0.9 * average_ + 0.1 * m.tokens_per_s : m.tokens_per_s;
  double const left = static_cast<double>(m.steps - m.step) * m.seconds;
  std::fprintf(stderr, "%sstep %lld/%lld  loss %.4f  grad %.2f  rate %.2e  %.0f tokens/s  %.0f ms  left %d:%02d%s",
               terminal_ ? "\r\x1b[2K" : "", static_cast<long long>(m.step), static_cast<long long>(m.steps), m.loss,
               m.grad_norm, m.rate, average_, 1e3 * m.seconds, static_cast<int>(left) / 60, static_cast<int>(left) % 60,
               terminal_ ? "" : "\n");
  if (terminal_ && m.step == m.steps) std::fputc('\n', stderr);
  std::fflush(stderr);
}

LIERNE_INLINE void Progress::show(ValidationMetrics const& m) {
  if (quiet_) return;
  std::fprintf(stderr, "%sstep %lld  held-out loss %.4f  %.4f bits/byte  (%.1f s)\n", terminal_ ? "\r\x1b[2K" : "",
               static_cast<long long>(m.step), m.loss, m.bits_per_byte, m.seconds);
}

LIERNE_INLINE void Progress::note(std::string const& text) {
  if (!quiet_) std::fprintf(stderr, "%s%s\n", terminal_ ? "\r\x1b[2K" : "", text.c_str());
}
#endif

}  // namespace lierne
