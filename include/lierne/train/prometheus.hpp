// SPDX-License-Identifier: Apache-2.0
// metrics.prom: where a run is now, as Prometheus' text files say it.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/train/sink.hpp"

#if LIERNE_BODIES
#include <cmath>

#include "lierne/core/error.hpp"
#include "lierne/core/write_file.hpp"
#include "lierne/tensor/memory.hpp"
#endif

namespace lierne {

/// Settings of `PrometheusFile`.
struct PrometheusSettings {
  double every = 1;  ///< seconds at least from one writing to the next; validations and the end are written at once
};

/// The latest numbers in `folder`/metrics.prom, replaced as a whole, for the text-file collector of Prometheus' node exporter.
/// What the run has not measured yet is not in it.
/// Units: in the names (`_seconds`, `_bytes`, `_nats` a token).
/// Errors: `FileError` naming the file that cannot be written.
/// Source: prometheus.io/docs/instrumenting/exposition_formats.
class PrometheusFile final : public Sink {
 public:
  explicit PrometheusFile(std::filesystem::path const& folder, PrometheusSettings settings = {});

  void write(StepMetrics const& m) override;
  void write(ValidationMetrics const& m) override;
  void end() override;
  void flush() override { replace(); }

 private:
  void replace();

  std::filesystem::path path_;
  PrometheusSettings settings_;
  StepMetrics step_{};
  ValidationMetrics validation_{};
  bool has_step_ = false, has_validation_ = false, ended_ = false;
  std::chrono::steady_clock::time_point written_{};
};

#if LIERNE_BODIES
namespace detail {

inline std::string prometheus_number(double value) {
  return std::isnan(value) ? "NaN" : std::isinf(value) ? (value > 0 ? "+Inf" : "-Inf") : number(value);
}

inline std::string prometheus_label(std::string const& text) {
  std::string safe;
  for (char c : text) {
    if (c == '\n') safe += "\\n";
    else if (c == '"' || c == '\\') (safe += '\\') += c;
    else safe += c;
  }
  return safe;
}

}  // namespace detail

LIERNE_INLINE PrometheusFile::PrometheusFile(std::filesystem::path const& folder, PrometheusSettings settings)
    : path_(folder / "metrics.prom"), settings_(settings) {
  make_folder(folder, "run directory");
}

LIERNE_INLINE void PrometheusFile::write(StepMetrics const& m) {
  auto optimizer = std::move(step_.optimizer), model = std::move(step_.model);
  step_ = m;
  // What is measured every few steps stays until it is measured again.
  step_.optimizer.merge(optimizer);
  step_.model.merge(model);
  bool const first = !has_step_;
  has_step_ = true;
  auto const now = std::chrono::steady_clock::now();
  if (first || std::chrono::duration<double>(now - written_).count() >= settings_.every) replace();
}

LIERNE_INLINE void PrometheusFile::write(ValidationMetrics const& m) {
  validation_ = m;
  has_validation_ = true;
  replace();
}

LIERNE_INLINE void PrometheusFile::end() {
  ended_ = true;
  replace();
}

LIERNE_INLINE void PrometheusFile::replace() {
  std::string text;
  auto const add = [&](char const* name, char const* type, char const* help, double value) {
    text += message("# HELP lierne_", name, " ", help, "\n# TYPE lierne_", name, " ", type, "\nlierne_", name, " ",
                    detail::prometheus_number(value), "\n");
  };
  if (has_step_) {
    add("step", "gauge", "Optimizer steps done.", static_cast<double>(step_.step));
    add("steps", "gauge", "Optimizer steps of the whole run.", static_cast<double>(step_.steps));
    add("loss_nats", "gauge", "Mean cross entropy of the last step, nats a token.", step_.loss);
    add("gradient_norm", "gauge", "Norm of the gradient before clipping.", step_.grad_norm);
    add("learning_rate", "gauge", "Learning rate of the last step.", step_.rate);
    add("tokens_total", "counter", "Tokens seen by all processes.", static_cast<double>(step_.tokens));
    add("tokens_per_second", "gauge", "Tokens a second of all processes in the last step.", step_.tokens_per_s);
    add("step_seconds", "gauge", "Seconds of the last step.", step_.seconds);
    add("data_seconds", "gauge", "Seconds of the last step that it waited for its batch.", step_.data_seconds);
    add("elapsed_seconds", "gauge", "Seconds since the process started.", step_.elapsed);
    add("resident_bytes", "gauge", "Resident memory of the process.", static_cast<double>(resident_bytes()));
  }
  if (has_validation_) {
    add("validation_step", "gauge", "Step of the last validation.", static_cast<double>(validation_.step));
    add("validation_loss_nats", "gauge", "Mean cross entropy of the held-out text, nats a token.", validation_.loss);
    add("validation_bits_per_byte", "gauge", "Cross entropy of the held-out text, bits a byte.", validation_.bits_per_byte);
  }
  add("ended", "gauge", "Whether the run has ended.", ended_ ? 1 : 0);
  if (!step_.optimizer.empty() || !step_.model.empty()) {
    text += "# HELP lierne_measurement Latest value of a measurement, by its key in metrics.jsonl.\n"
            "# TYPE lierne_measurement gauge\n";
    for (auto const* measured : {&step_.optimizer, &step_.model}) {
      for (auto const& [key, value] : *measured) {
        text += message("lierne_measurement{key=\"", detail::prometheus_label(key), "\"} ", detail::prometheus_number(value), "\n");
      }
    }
  }
  write_file(path_, text);
  written_ = std::chrono::steady_clock::now();
}
#endif

}  // namespace lierne
