// SPDX-License-Identifier: Apache-2.0
// What a person sees while a run goes: a line that is rewritten on a terminal, a line now and then elsewhere.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/train/metrics.hpp"

#if LIERNE_BODIES
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lierne/core/error.hpp"
#include "lierne/core/number.hpp"
#include "lierne/tensor/memory.hpp"
#endif

namespace lierne {

/// Settings of `Progress`.
struct ProgressSettings {
  bool quiet = false;          ///< nothing at all
  bool verbose = false;        ///< a line for every step, with what was measured in it
  double flops_per_token = 0;  ///< of training; 0: no share of the peak
  double peak = 0;             ///< floating-point operations a second of all processes' devices; 0: not known, no share
  std::FILE* out = stderr;
};

/// The progress line: rewritten in place on a terminal and cut to its width by leaving out what matters least, a whole line every
/// ten seconds elsewhere. Numbers: loss (nats a token), bits per byte of the last validation, gradient norm, learning rate,
/// tokens a second and time a step (averages of about ten steps), share of the peak (training FLOPs by the count of
/// `flops_per_token`), share of the step that waits for data, resident memory, time left.
class Progress {
 public:
  explicit Progress(ProgressSettings settings);
  explicit Progress(bool quiet) : Progress(ProgressSettings{.quiet = quiet}) {}
  Progress(Progress const&) = delete;
  ~Progress() { end(); }  // an error's message begins a line of its own

  void show(StepMetrics const& m);
  void show(ValidationMetrics const& m);
  void note(std::string const& text);
  /// From now on steps show their share of so many operations a second.
  void set_peak(double peak) { settings_.peak = peak; }
  /// Ends a line that a last step would have ended: for a run that stops before it.
  void end();

  /// The line of a step for `columns` columns; 0: as long as it is.
  std::string line(StepMetrics const& m, std::size_t columns) const;

 private:
  void average(StepMetrics const& m);
  void print(std::string const& text, bool in_place);

  ProgressSettings settings_;
  bool terminal_;
  bool open_ = false;            // the cursor stands behind a line that may be rewritten
  double shown_ = -1e9;          // when, in seconds since the process started
  std::int64_t steps_ = 0;       // seen
  double tokens_per_s_ = 0;
  double seconds_ = 0;
  double bits_per_byte_ = 0;     // 0 before the first validation
};

#if LIERNE_BODIES
LIERNE_INLINE Progress::Progress(ProgressSettings settings)
    : settings_(settings), terminal_(::isatty(::fileno(settings.out)) == 1) {}

LIERNE_INLINE void Progress::average(StepMetrics const& m) {
  // The first step is slower than all others, so the second begins anew.
  double const share = ++steps_ <= 2 ? 1.0 : std::max(0.1, 1.0 / static_cast<double>(steps_ - 1));
  tokens_per_s_ += share * (m.tokens_per_s - tokens_per_s_);
  seconds_ += share * (m.seconds - seconds_);
}

LIERNE_INLINE std::string Progress::line(StepMetrics const& m, std::size_t columns) const {
  struct Part {
    int rank;  // the largest goes first where there is no room
    std::string text;
  };
  std::vector<Part> parts{{0, message("step ", m.step, "/", m.steps)}, {1, "loss " + fixed(m.loss, 4)}};
  if (bits_per_byte_ > 0) parts.push_back({4, fixed(bits_per_byte_, 4) + " bits/byte"});
  if (!std::isnan(m.grad_norm)) parts.push_back({5, "grad " + fixed(m.grad_norm, 2)});
  char rate[32];
  std::snprintf(rate, sizeof rate, "rate %.2e", m.rate);
  parts.push_back({8, rate});
  parts.push_back({2, grouped(tokens_per_s_) + " tokens/s"});
  if (settings_.peak > 0 && settings_.flops_per_token > 0) {
    parts.push_back({6, fixed(100 * settings_.flops_per_token * tokens_per_s_ / settings_.peak, 0) + "% of peak"});
  }
  parts.push_back({7, seconds_ < 10 ? fixed(1e3 * seconds_, seconds_ < 0.01 ? 1 : 0) + " ms" : fixed(seconds_, 1) + " s"});
  if (m.seconds > 0) parts.push_back({9, "data " + fixed(100 * m.data_seconds / m.seconds, 0) + "%"});
  auto const mib = static_cast<double>(resident_bytes()) / (1 << 20);
  parts.push_back({10, mib < 1024 ? fixed(mib, 0) + " MiB" : fixed(mib / 1024, 1) + " GiB"});
  if (m.steps > m.step) parts.push_back({3, "left " + duration(static_cast<double>(m.steps - m.step) * seconds_)});
  auto const joined = [&] {
    std::string text;
    for (auto const& part : parts) text += (text.empty() ? "" : "  ") + part.text;
    return text;
  };
  while (columns > 0 && joined().size() > columns && parts.size() > 1) {
    parts.erase(std::ranges::max_element(parts, {}, &Part::rank));
  }
  auto text = joined();
  if (columns > 0 && text.size() > columns) text.resize(columns);
  return text;
}

LIERNE_INLINE void Progress::print(std::string const& text, bool in_place) {
  std::fprintf(settings_.out, "%s%s%s", terminal_ ? "\r\x1b[2K" : "", text.c_str(), in_place ? "" : "\n");
  std::fflush(settings_.out);
  open_ = in_place;
}

LIERNE_INLINE void Progress::show(StepMetrics const& m) {
  average(m);
  if (settings_.quiet) return;
  bool const last = m.step == m.steps;
  if (!settings_.verbose && steps_ != 1 && !last && m.elapsed - shown_ < (terminal_ ? 0.1 : 10.0)) return;
  shown_ = m.elapsed;
  if (!settings_.verbose && terminal_) {
    ::winsize size{};
    bool const known = ::ioctl(::fileno(settings_.out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    // The last column stays free, for some terminals go on in the next line once it is taken.
    print(line(m, (known ? size.ws_col : 80U) - 1U), !last);
    return;
  }
  auto text = line(m, 0);
  if (settings_.verbose) {
    for (auto const* measured : {&m.optimizer, &m.model}) {
      for (auto const& [key, value] : *measured) text += message("\n  ", key, " ", value);
    }
  }
  print(text, false);
}

LIERNE_INLINE void Progress::show(ValidationMetrics const& m) {
  bits_per_byte_ = m.bits_per_byte;
  if (settings_.quiet) return;
  print(message("step ", m.step, "  held-out loss ", fixed(m.loss, 4), "  ", fixed(m.bits_per_byte, 4), " bits/byte  (",
                fixed(m.seconds, 1), " s)"),
        false);
}

LIERNE_INLINE void Progress::note(std::string const& text) {
  if (!settings_.quiet) print(text, false);
}

LIERNE_INLINE void Progress::end() {
  if (open_) std::fputc('\n', settings_.out);
  open_ = false;
}
#endif

}  // namespace lierne
