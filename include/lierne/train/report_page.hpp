// SPDX-License-Identifier: Apache-2.0
// report.html: a run as one page of curves, samples and configuration that needs nothing else.
#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lierne/core/compiled.hpp"
#include "lierne/train/sink.hpp"
#include "lierne/train/thinned_curve.hpp"

#if LIERNE_BODIES
#include <cmath>

#include "lierne/core/error.hpp"
#include "lierne/core/number.hpp"
#include "lierne/core/write_file.hpp"
#include "lierne/data/utf8.hpp"
#include "lierne/train/page.hpp"
#endif

namespace lierne {

/// Settings of `ReportPage`.
struct ReportSettings {
  std::string title = "Run";
  /// Name and value of what the run was started with, as the page shows them.
  std::vector<std::pair<std::string, std::string>> configuration{};
  double every = 10;  ///< seconds at least from one writing to the next; the end is written at once
};

/// The page `folder`/report.html: curves of loss, held-out loss and bits per byte, learning rate, gradient norm, tokens a second
/// and data wait, the last ten samples, and the configuration. It loads nothing, and follows the reader's light or dark.
/// Curves are kept as means and ranges of at most 512 stretches of steps, so that no number of steps makes the page large.
/// Errors: `FileError` naming the file that cannot be written.
class ReportPage final : public Sink {
 public:
  explicit ReportPage(std::filesystem::path const& folder, ReportSettings settings = {});

  void write(StepMetrics const& m) override;
  void write(ValidationMetrics const& m) override;
  void write(TextSample const& sample) override;
  void end() override;
  void flush() override { end(); }
  /// The page as it is now.
  std::string html() const;

 private:
  void write_now_and_then();

  std::filesystem::path path_;
  ReportSettings settings_;
  StepMetrics last_{};
  ValidationMetrics validation_{};
  ThinnedCurve loss_, rate_, grad_norm_, tokens_per_s_, data_wait_, validation_loss_, bits_per_byte_;
  std::deque<TextSample> samples_{};
  std::chrono::steady_clock::time_point written_ = std::chrono::steady_clock::now();
};

#if LIERNE_BODIES
namespace detail {

inline constexpr char const* run_style = R"(h2{margin:1.6em 0 .4em}h3{font-size:1em;font-weight:600;margin:.8em 0 .1em}
.figures{display:flex;flex-wrap:wrap;gap:.3em 2.2em;margin:1em 0}.figures b{display:block;font-size:1.35em;font-weight:600}
.figures span,.note{color:var(--dim)}.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:0 1.6em}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--hover);padding:.7em 1em;margin:.3em 0;border-radius:4px}
td{vertical-align:top;overflow-wrap:anywhere}td:first-child{white-space:nowrap;color:var(--dim)}
)";

inline Curve curve_of(ThinnedCurve const& thinned, std::string label, std::size_t colour) {
  Curve curve{.label = std::move(label), .colour = colour};
  bool banded = false;
  for (auto const& one : thinned.stretches()) {
    curve.points.push_back({one.x, one.mean});
    curve.band_low.push_back({one.x, one.least});
    curve.band_high.push_back({one.x, one.largest});
    banded |= one.count > 1;
  }
  if (!banded) curve.band_low.clear(), curve.band_high.clear();
  return curve;
}

inline std::string figure(char const* name, std::string const& value) {
  return message("<div><b>", value, "</b><span>", name, "</span></div>\n");
}

}  // namespace detail

LIERNE_INLINE ReportPage::ReportPage(std::filesystem::path const& folder, ReportSettings settings)
    : path_(folder / "report.html"), settings_(std::move(settings)) {
  make_folder(folder, "run directory");
}

LIERNE_INLINE void ReportPage::write(StepMetrics const& m) {
  last_ = m;
  auto const step = static_cast<double>(m.step);
  loss_.add(step, m.loss);
  rate_.add(step, m.rate);
  grad_norm_.add(step, m.grad_norm);
  tokens_per_s_.add(step, m.tokens_per_s);
  if (m.seconds > 0) data_wait_.add(step, 100 * m.data_seconds / m.seconds);
  write_now_and_then();
}

LIERNE_INLINE void ReportPage::write(ValidationMetrics const& m) {
  validation_ = m;
  validation_loss_.add(static_cast<double>(m.step), m.loss);
  bits_per_byte_.add(static_cast<double>(m.step), m.bits_per_byte);
  write_now_and_then();
}

LIERNE_INLINE void ReportPage::write(TextSample const& sample) {
  constexpr std::size_t most = 10, longest = 4000;
  samples_.push_front({.step = sample.step, .text = replace_invalid(sample.text.substr(0, longest))});
  if (samples_.size() > most) samples_.pop_back();
  write_now_and_then();
}

LIERNE_INLINE void ReportPage::end() { write_file(path_, html()); }

LIERNE_INLINE void ReportPage::write_now_and_then() {
  auto const now = std::chrono::steady_clock::now();
  if (std::chrono::duration<double>(now - written_).count() < settings_.every) return;
  write_file(path_, html());
  written_ = now;
}

LIERNE_INLINE std::string ReportPage::html() const {
  using namespace detail;
  auto page = page_begin(settings_.title, run_style);
  page += "<div class=\"figures\">\n";
  if (last_.step > 0) {
    page += figure(last_.steps > 0 ? ("of " + grouped(static_cast<double>(last_.steps)) + " steps").c_str() : "steps",
                   grouped(static_cast<double>(last_.step)));
    page += figure("training loss, nats a token", fixed(last_.loss, 4));
  }
  if (!validation_loss_.empty()) {
    page += figure("held-out loss, nats a token", fixed(validation_.loss, 4));
    page += figure("held-out bits per byte", fixed(validation_.bits_per_byte, 4));
  }
  if (last_.step > 0) {
    page += figure("tokens", grouped(static_cast<double>(last_.tokens)));
    page += figure("since the start", duration(last_.elapsed));
  }
  page += "</div>\n";

  auto const chart = [&](char const* head, ChartFrame frame, std::vector<Curve> curves) {
    frame.label = head;
    if (auto const svg = svg_chart(frame, curves); !svg.empty()) page += message("<div><h3>", head, "</h3>\n", svg, "</div>\n");
  };
  auto const small = [](double clip, int digits, bool from_zero) {
    return ChartFrame{.width = 480, .height = 230, .clip = clip, .digits = digits, .from_zero = from_zero};
  };
  auto held_out = curve_of(validation_loss_, "held-out loss", 2), bits = curve_of(bits_per_byte_, "bits per byte", 2);
  held_out.dots = bits.dots = true;
  auto const each = loss_.empty() ? 1 : loss_.stretches().front().count;
  page += message("<p class=\"note\"><i class=\"key\" style=\"background:", curve_colour(4), "\"></i>training &nbsp; "
                  "<i class=\"key\" style=\"background:", curve_colour(2), "\"></i>held out &nbsp; ",
                  each == 1 ? "every step is drawn" : message("lines are means and areas ranges of ", each, " steps"),
                  "; what is above an axis lies on its edge</p>\n");
  chart("Loss, nats a token", {.height = 380, .clip = 0.995}, {curve_of(loss_, "training loss", 4), std::move(held_out)});
  page += "<div class=\"pair\">\n";
  chart("Bits per byte of the held-out text", small(1, 2, false), {std::move(bits)});
  chart("Learning rate", small(1, 0, true), {curve_of(rate_, "learning rate", 4)});
  chart("Gradient norm before clipping", small(0.98, 1, true), {curve_of(grad_norm_, "gradient norm", 4)});
  chart("Tokens a second", small(1, 0, true), {curve_of(tokens_per_s_, "tokens a second", 4)});
  chart("Waiting for data, % of a step", small(0.98, 0, true), {curve_of(data_wait_, "data wait", 4)});
  page += "</div>\n";

  if (!samples_.empty()) page += "<h2>Samples</h2>\n";
  for (auto const& sample : samples_) {
    page += message("<h3>step ", grouped(static_cast<double>(sample.step)), "</h3><pre>", escape_html(sample.text), "</pre>\n");
  }
  if (!settings_.configuration.empty()) {
    page += "<h2>Configuration</h2>\n<table><tbody>\n";
    for (auto const& [name, value] : settings_.configuration) {
      page += message("<tr><td>", escape_html(name), "</td><td>", escape_html(value), "</td></tr>\n");
    }
    page += "</tbody></table>\n";
  }
  return page + "</body></html>\n";
}
#endif

}  // namespace lierne
