// SPDX-License-Identifier: Apache-2.0
// What the pages of runs and sweeps are made of: text for HTML, a style for light and dark, and charts as SVG.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lierne/core/compiled.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>

#include "lierne/core/error.hpp"
#include "lierne/core/number.hpp"
#endif

namespace lierne {

/// Text with what HTML would read as its own replaced.
std::string escape_html(std::string_view text);

/// A page up to and with its heading: UTF-8, one style for light and dark by what the reader prefers, nothing to load.
/// `style` is CSS of the page's own. It ends with `</body></html>`.
std::string page_begin(std::string_view title, std::string_view style = "");

/// A colour for CSS; hues by the golden angle, so that neighbours differ most. Its lightness follows light and dark.
std::string curve_colour(std::size_t index);

/// A place of a curve, in the units of what is drawn.
struct ChartPoint {
  double x = 0;
  double y = 0;
};

/// A line of a chart. What is not finite is left out.
struct Curve {
  std::string label{};
  std::size_t colour = 0;                ///< of `curve_colour`
  std::vector<ChartPoint> points{};
  std::vector<ChartPoint> band_low{};    ///< with `band_high`: a lighter area behind all lines, both as long
  std::vector<ChartPoint> band_high{};
  std::string id{};                      ///< of the line's element, for scripts
  bool dots = false;                     ///< a dot at every point
};

/// The frame of a chart. Units: those of SVG, which the page scales.
struct ChartFrame {
  std::string label{};      ///< for who cannot see it
  double width = 960;
  double height = 420;
  double clip = 0.98;       ///< the share of the ordinates that the axis reaches: one run away must not flatten the others
  int digits = 2;           ///< behind the point of an ordinate, at least
  bool from_zero = false;   ///< the axis begins at 0
};

/// A chart of curves by step as an SVG element, the last curve above the others; nothing without a finite point.
std::string svg_chart(ChartFrame const& frame, std::span<Curve const> curves);

#if LIERNE_BODIES
LIERNE_INLINE std::string escape_html(std::string_view text) {
  std::string safe;
  for (char c : text) {
    if (c == '&') safe += "&amp;";
    else if (c == '<') safe += "&lt;";
    else if (c == '>') safe += "&gt;";
    else if (c == '"') safe += "&quot;";
    else safe += c;
  }
  return safe;
}

LIERNE_INLINE std::string page_begin(std::string_view title, std::string_view style) {
  constexpr char const* common = R"(
:root{color-scheme:light dark;--ink:#222;--dim:#555;--line:#ddd;--faint:#eee;--hover:#f4f4f4;--paper:#fff;--even:38%;--odd:52%}
@media (prefers-color-scheme:dark){
:root{--ink:#ddd;--dim:#a8a8a8;--line:#3c3c3c;--faint:#2c2c2c;--hover:#262626;--paper:#161616;--even:62%;--odd:74%}}
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1000px;padding:0 1em;color:var(--ink);background:var(--paper)}
svg{width:100%;height:auto;overflow:visible}svg text{font-size:11px;fill:var(--dim)}.grid{stroke:var(--line)}
polyline{fill:none;stroke-width:1.5;stroke-linejoin:round}polygon{stroke:none;fill-opacity:.22}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2em .6em;border-bottom:1px solid var(--faint)}
@media (max-width:640px){svg[viewBox^="0 0 960"] text{font-size:20px}}
i.key{display:inline-block;width:.8em;height:.8em;margin-right:.5em}
)";
  auto const safe = escape_html(title);
  return message(R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>)", common, style, "</style>\n<title>", safe, "</title></head>\n<body>\n<h1>", safe, "</h1>\n");
}

LIERNE_INLINE std::string curve_colour(std::size_t index) {
  auto const hue = static_cast<int>(std::fmod(137.508 * static_cast<double>(index), 360.0));
  return message("hsl(", hue, ",70%,var(--", index % 2 == 0 ? "even" : "odd", "))");
}

namespace detail {

// A step of 1, 2 or 5 times a power of ten that cuts `range` into about `parts`.
inline double tick_step(double range, double parts) {
  double const raw = range / parts, power = std::pow(10, std::floor(std::log10(raw)));
  double const digit = raw / power;
  return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

// Where the data of a chart lie, and where they are drawn.
struct ChartScale {
  ChartFrame const& frame;
  double low, high, last;
  static constexpr double left = 56, right = 10, top = 10, bottom = 36;

  double x(double step) const { return left + (frame.width - left - right) * step / last; }
  double y(double value) const {
    return top + (frame.height - top - bottom) * (1 - std::clamp((value - low) / (high - low), -0.05, 1.0));
  }
  std::string points(std::vector<ChartPoint> const& all) const {
    std::string text;
    for (auto const& point : all) {
      if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
      if (!text.empty()) text += ' ';
      ((text += fixed(x(point.x), 1)) += ',') += fixed(y(point.y), 1);
    }
    return text;
  }
  std::string grid() const {
    std::string svg;
    auto const& [label, width, height, clip, least_digits, from_zero] = frame;
    double const apart = tick_step(high - low, height < 300 ? 4 : 6);
    int const digits = std::max(least_digits, static_cast<int>(std::ceil(-std::log10(apart) - 1e-9)));
    for (double tick = std::ceil(low / apart) * apart; tick <= high; tick += apart) {
      svg += message("<line class=\"grid\" x1=\"", fixed(left, 0), "\" x2=\"", fixed(width - right, 0), "\" y1=\"",
                     fixed(y(tick), 1), "\" y2=\"", fixed(y(tick), 1), "\"/><text x=\"", fixed(left - 6, 0), "\" y=\"",
                     fixed(y(tick) + 4, 1), "\" text-anchor=\"end\">", fixed(tick, digits), "</text>\n");
    }
    double const steps_apart = std::max(1.0, tick_step(last, width / 120));
    for (double tick = 0; tick <= last; tick += steps_apart) {
      svg += message("<text x=\"", fixed(x(tick), 1), "\" y=\"", fixed(height - 14, 0), "\" text-anchor=\"middle\">",
                     fixed(tick, 0), "</text>\n");
    }
    return svg + message("<text x=\"", fixed(width - right, 0), "\" y=\"", fixed(height - 1, 0),
                         "\" text-anchor=\"end\">step</text>\n");
  }
};

}  // namespace detail

LIERNE_INLINE std::string svg_chart(ChartFrame const& frame, std::span<Curve const> curves) {
  std::vector<double> values;
  double last = 1;
  for (auto const& curve : curves) {
    for (auto const* part : {&curve.points, &curve.band_low}) {
      for (auto const& point : *part) {
        if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
        values.push_back(point.y);
        last = std::max(last, point.x);
      }
    }
  }
  if (values.empty()) return "";
  double const low = frame.from_zero ? std::min(0.0, *std::ranges::min_element(values)) : *std::ranges::min_element(values);
  auto const nearly_all = values.begin() + static_cast<std::ptrdiff_t>(frame.clip * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, nearly_all);
  // A range below the numbers' precision cannot be cut into ticks that an addition reaches.
  double const high = *nearly_all - low > 1e-6 * std::abs(low) ? *nearly_all : low + (low == 0 ? 1 : std::abs(low));
  detail::ChartScale const scale{.frame = frame, .low = low, .high = high, .last = last};
  std::string svg = message("<svg viewBox=\"0 0 ", static_cast<int>(frame.width), " ", static_cast<int>(frame.height),
                            "\" role=\"img\" aria-label=\"", escape_html(frame.label), "\">\n", scale.grid());
  for (auto const& curve : curves) {
    if (curve.band_low.empty()) continue;
    auto back = curve.band_high;
    std::ranges::reverse(back);
    svg += message("<polygon points=\"", scale.points(curve.band_low), " ", scale.points(back), "\" style=\"fill:",
                   curve_colour(curve.colour), "\"/>\n");
  }
  for (auto const& curve : curves) {
    auto const colour = curve_colour(curve.colour);
    svg += message("<polyline", curve.id.empty() ? "" : " id=\"" + curve.id + "\"", " points=\"", scale.points(curve.points),
                   "\" style=\"stroke:", colour, "\"><title>", escape_html(curve.label), "</title></polyline>\n");
    if (!curve.dots) continue;
    for (auto const& point : curve.points) {
      if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
      svg += message("<circle r=\"2.5\" cx=\"", fixed(scale.x(point.x), 1), "\" cy=\"", fixed(scale.y(point.y), 1),
                     "\" style=\"fill:", colour, "\"><title>", fixed(point.x, 0), ": ", number(point.y), "</title></circle>\n");
    }
  }
  return svg + "</svg>\n";
}
#endif

}  // namespace lierne
