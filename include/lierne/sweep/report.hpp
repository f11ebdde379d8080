// SPDX-License-Identifier: Apache-2.0
// The page of a sweep: loss curves and a table that sorts, in one HTML file that needs nothing else.
#pragma once

#include <string>

#include "lierne/core/compiled.hpp"
#include "lierne/sweep/summary.hpp"

#if LIERNE_BODIES
#include <algorithm>

#include "lierne/core/error.hpp"
#include "lierne/train/page.hpp"
#endif

namespace lierne {

/// The page: one curve a variant, the mean over the seeds of its best candidate that did not diverge; a click on a head
/// sorts the table by that column, and pointing at a line shows its curve. It loads nothing from anywhere. The same rows
/// give the same bytes: it holds no date and no duration.
std::string to_html(Summary const& summary, std::string const& title);

#if LIERNE_BODIES
namespace detail {

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

inline std::string chart(Summary const& summary) {
  std::vector<Curve> curves;
  for (std::size_t i = summary.variants.size(); i-- > 0;) {  // the best is drawn last, above all others
    Curve curve{.label = summary.variants[i].label, .colour = i, .id = message("curve-", i)};
    for (auto const& point : mean_curve(summary.variants[i].chosen())) curve.points.push_back({point.step, point.loss});
    curves.push_back(std::move(curve));
  }
  auto const svg = svg_chart({.label = "loss by step"}, curves);
  return svg.empty() ? "<p>No run has a curve.</p>\n" : svg;
}

inline std::string html_table(Summary const& summary) {
  auto const lines = cells(summary);
  std::string table = "<table>\n<thead><tr>";
  for (auto const& head : lines.front()) table += "<th>" + escape_html(head) + "</th>";
  table += "</tr></thead>\n<tbody>\n";
  for (std::size_t i = 1; i < lines.size(); ++i) {
    auto const& variant = summary.variants[i - 1];
    table += message("<tr data-curve=\"curve-", i - 1, "\" title=\"", escape_html(variant.chosen().rows.front().rule), "\">");
    for (std::size_t k = 0; k < lines[i].size(); ++k) {
      auto const& cell = lines[i][k];
      table += k == 0 ? message("<td><i class=\"key\" style=\"background:", curve_colour(i - 1), "\"></i>", cell, "</td>")
                      : "<td>" + escape_html(cell) + "</td>";
    }
    table += "</tr>\n";
  }
  return table + "</tbody>\n</table>\n";
}

inline constexpr char const* sweep_style = R"(table{width:100%}th,td{white-space:nowrap}
.dim polyline{opacity:.12}.dim polyline.shown{opacity:1;stroke-width:3}
th{cursor:pointer;user-select:none}th[aria-sort=ascending]::after{content:" \25B2"}th[aria-sort=descending]::after{content:" \25BC"}
tbody tr:hover{background:var(--hover)}
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
  auto page = page_begin(title, detail::sweep_style);
  page += "<p>Training loss in nats a token, mean over seeds; bits per byte of the held-out text, mean ± standard error; "
          "difference, t and two-sided p of a paired test over seeds against the baseline.</p>\n";
  return page + detail::chart(summary) + detail::html_table(summary) + detail::page_script + "</body></html>\n";
}
#endif

}  // namespace lierne
