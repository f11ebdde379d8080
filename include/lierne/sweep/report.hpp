// SPDX-License-Identifier: Apache-2.0
// The page of a sweep: loss curves and a table that sorts, in one HTML file that needs nothing else.
#pragma once

#include <filesystem>
#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/summary.hpp"

#if LIERNE_BODIES
#include <algorithm>
#include <cmath>
#include <fstream>

#include "lierne/core/error.hpp"
#endif

namespace lierne {

/// The page: one curve a variant, the mean over the seeds of its best candidate that did not diverge; a click on a head
/// sorts the table by that column, and pointing at a line shows its curve. It loads nothing from anywhere. The same rows
/// give the same bytes: it holds no date and no duration.
std::string to_html(Summary const& summary, std::string const& title);

/// Writes a file as a whole or not at all. Errors: `FileError` naming it.
void write_file(std::filesystem::path const& path, std::string const& text);

#if LIERNE_BODIES
namespace detail {

inline std::string escaped(std::string const& text) {
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

// The mean curve of a candidate's whole runs; of its diverged ones where there is no other.
inline std::vector<CurvePoint> mean_curve(Candidate const& candidate) {
  std::vector<Row const*> rows;
  for (bool diverged : {false, true}) {
    if (!rows.empty()) break;
    for (auto const& row : candidate.rows) {
      if ((row.diverged_at != 0) == diverged) rows.push_back(&row);
    }
  }
  std::size_t points = rows.empty() ? 0 : rows.front()->curve.size();
  for (auto const* row : rows) points = std::min(points, row->curve.size());
  std::vector<CurvePoint> mean;
  for (std::size_t i = 0; i < points; ++i) {
    double sum = 0;
    for (auto const* row : rows) sum += row->curve[i].loss;
    mean.push_back({rows.front()->curve[i].step, sum / static_cast<double>(rows.size())});
  }
  return mean;
}

// Hues by the golden angle: neighbours in the order of the table differ most.
inline std::string colour(std::size_t index) {
  auto const hue = static_cast<int>(std::fmod(137.508 * static_cast<double>(index), 360.0));
  return message("hsl(", hue, ",70%,", index % 2 == 0 ? 38 : 52, "%)");
}

// A step of 1, 2 or 5 times a power of ten that cuts `range` into about `parts`.
inline double tick_step(double range, int parts) {
  double const raw = range / parts, power = std::pow(10, std::floor(std::log10(raw)));
  double const digit = raw / power;
  return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

inline std::string chart(Summary const& summary) {
  constexpr double width = 960, height = 420, left = 56, bottom = 36, top = 10, right = 10;
  std::vector<std::vector<CurvePoint>> curves;
  std::vector<double> losses;
  double last_step = 1;
  for (auto const& variant : summary.variants) {
    curves.push_back(mean_curve(variant.chosen()));
    for (auto const& point : curves.back()) {
      if (!std::isfinite(point.loss)) continue;
      losses.push_back(point.loss);
      last_step = std::max(last_step, point.step);
    }
  }
  if (losses.empty()) return "<p>No run has a curve.</p>\n";
  // One run on its way to infinity must not flatten all the others.
  double const low = *std::ranges::min_element(losses);
  auto const nearly_all = losses.begin() + static_cast<std::ptrdiff_t>(0.98 * static_cast<double>(losses.size() - 1));
  std::ranges::nth_element(losses, nearly_all);
  // Nor may a range below the numbers' precision be cut into ticks that no addition reaches.
  double const high = *nearly_all - low > 1e-6 * std::max(1.0, std::abs(low)) ? *nearly_all : low + 1;
  auto const x = [&](double step) { return left + (width - left - right) * step / last_step; };
  auto const y = [&](double loss) {
    return top + (height - top - bottom) * (1 - std::clamp((loss - low) / (high - low), -0.05, 1.0));
  };
  std::string svg = message("<svg viewBox=\"0 0 ", static_cast<int>(width), " ", static_cast<int>(height),
                            "\" role=\"img\" aria-label=\"loss by step\">\n");
  double const apart = tick_step(high - low, 6);
  int const digits = std::max(2, static_cast<int>(std::ceil(-std::log10(apart) - 1e-9)));
  for (double tick = std::ceil(low / apart) * apart; tick <= high; tick += apart) {
    svg += message("<line class=\"grid\" x1=\"", fixed(left, 0), "\" x2=\"", fixed(width - right, 0), "\" y1=\"",
                   fixed(y(tick), 1), "\" y2=\"", fixed(y(tick), 1), "\"/><text x=\"", fixed(left - 6, 0), "\" y=\"",
                   fixed(y(tick) + 4, 1), "\" text-anchor=\"end\">", fixed(tick, digits), "</text>\n");
  }
  for (double tick = 0; tick <= last_step; tick += tick_step(last_step, 8)) {
    svg += message("<text x=\"", fixed(x(tick), 1), "\" y=\"", fixed(height - 14, 0), "\" text-anchor=\"middle\">",
                   fixed(tick, 0), "</text>\n");
  }
  svg += message("<text x=\"", fixed(width - right, 0), "\" y=\"", fixed(height - 1, 0),
                 "\" text-anchor=\"end\">step</text>\n");
  for (std::size_t i = curves.size(); i-- > 0;) {  // the best is drawn last, above all others
    std::string points;
    for (auto const& point : curves[i]) {
      if (!std::isfinite(point.loss)) continue;
      points += message(points.empty() ? "" : " ", fixed(x(point.step), 1), ",", fixed(y(point.loss), 1));
    }
    svg += message("<polyline id=\"curve-", i, "\" points=\"", points, "\" stroke=\"", colour(i), "\"><title>",
                   escaped(summary.variants[i].label), "</title></polyline>\n");
  }
  return svg + "</svg>\n";
}

inline std::string html_table(Summary const& summary) {
  auto const lines = cells(summary);
  std::string table = "<table>\n<thead><tr>";
  for (auto const& head : lines.front()) table += "<th>" + escaped(head) + "</th>";
  table += "</tr></thead>\n<tbody>\n";
  for (std::size_t i = 1; i < lines.size(); ++i) {
    auto const& variant = summary.variants[i - 1];
    table += message("<tr data-curve=\"curve-", i - 1, "\" title=\"", escaped(variant.chosen().rows.front().rule), "\">");
    for (std::size_t k = 0; k < lines[i].size(); ++k) {
      auto const& cell = lines[i][k];
      table += k == 0 ? message("<td><i style=\"background:", colour(i - 1), "\"></i>", cell, "</td>")
                      : "<td>" + escaped(cell) + "</td>";
    }
    table += "</tr>\n";
  }
  return table + "</tbody>\n</table>\n";
}

inline constexpr char const* page_head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1000px;padding:0 1em;color:#222}
svg{width:100%;height:auto}svg text{font-size:11px;fill:#555}.grid{stroke:#ddd}
polyline{fill:none;stroke-width:1.5;stroke-linejoin:round}
.dim polyline{opacity:.12}.dim polyline.shown{opacity:1;stroke-width:3}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2em .6em;border-bottom:1px solid #eee;white-space:nowrap}
th{cursor:pointer;user-select:none}th[aria-sort=ascending]::after{content:" \25B2"}th[aria-sort=descending]::after{content:" \25BC"}
tbody tr:hover{background:#f4f4f4}td i{display:inline-block;width:.8em;height:.8em;margin-right:.5em}
</style>
)";

inline constexpr char const* page_script = R"(<script>
"use strict";
const svg = document.querySelector("svg"), body = document.querySelector("tbody");
for (const row of body.rows) {
  const curve = document.getElementById(row.dataset.curve);
  row.addEventListener("mouseenter", () => { if (curve) { svg.classList.add("dim"); curve.classList.add("shown"); } });
  row.addEventListener("mouseleave", () => { if (curve) { svg.classList.remove("dim"); curve.classList.remove("shown"); } });
}
const number = text => parseFloat(text.replace("<", ""));
document.querySelectorAll("th").forEach((head, column) => head.addEventListener("click", () => {
  const down = head.getAttribute("aria-sort") === "ascending";
  document.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...body.rows].map(row => ({row, text: row.cells[column].textContent}));
  rows.sort((a, b) => {
    if ((a.text === "") !== (b.text === "")) return a.text === "" ? 1 : -1;
    const x = number(a.text), y = number(b.text);
    if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
    const order = isNaN(x) ? a.text.localeCompare(b.text) : x - y;
    return down ? -order : order;
  });
  rows.forEach(({row}) => body.append(row));
}));
</script>
)";

}  // namespace detail

LIERNE_INLINE std::string to_html(Summary const& summary, std::string const& title) {
  std::string page = detail::page_head;
  page += "<title>" + detail::escaped(title) + "</title></head>\n<body>\n<h1>" + detail::escaped(title) + "</h1>\n";
  page += "<p>Training loss in nats a token, mean over seeds; bits per byte of the held-out text, mean ± standard error; "
          "difference, t and two-sided p of a paired test over seeds against the baseline.</p>\n";
  return page + detail::chart(summary) + detail::html_table(summary) + detail::page_script + "</body></html>\n";
}

LIERNE_INLINE void write_file(std::filesystem::path const& path, std::string const& text) {
  auto const beside = std::filesystem::path(path) += ".part";
  {
    std::ofstream out(beside, std::ios::binary | std::ios::trunc);
    out << text;
    out.flush();
    check<FileError>(out.good(), beside.string(), ": could not be written (no such folder, or disk full?)");
  }
  std::error_code failed;
  std::filesystem::rename(beside, path, failed);
  check<FileError>(!failed, path.string(), ": could not be replaced: ", failed.message());
}
#endif

}  // namespace lierne
