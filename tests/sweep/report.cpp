// SPDX-License-Identifier: Apache-2.0
#include "lierne/sweep/report.hpp"

#include <doctest/doctest.h>

#include <cmath>

using namespace lierne;

namespace {

std::vector<Row> rows() {
  std::vector<Row> all;
  for (int variant = 0; variant < 3; ++variant) {
    for (std::uint64_t seed : {1, 2}) {
      Row row{.settings = {{"rule", variant == 0 ? "adam <&\">" : "rule " + std::to_string(variant)}},
              .rule = "a long name", .rate = 1e-3, .seed = seed, .bits_per_byte = 2.0 + variant + 0.1 * static_cast<double>(seed),
              .seconds = 1.0 / static_cast<double>(seed)};
      for (int k = 1; k <= 10; ++k) row.curve.push_back({double(k), 8.0 / k + variant});
      if (variant == 2) row.diverged_at = 10;
      all.push_back(row);
    }
  }
  return all;
}

std::size_t count(std::string const& text, std::string const& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("the page holds a curve and a line for each variant, and needs nothing else") {
  auto const page = to_html(summarise(rows()), "Rules & rates");
  CHECK(page.starts_with("<!doctype html>"));
  CHECK(count(page, "<polyline") == 3);
  CHECK(count(page, "<tr data-curve") == 3);
  CHECK(count(page, "<title>") == 4);
  CHECK(page.find("<title>Rules &amp; rates</title>") != std::string::npos);
  CHECK(page.find("adam &lt;&amp;&quot;&gt;") != std::string::npos);
  CHECK(page.find("adam <") == std::string::npos);
  CHECK(page.find("2 of 2 diverged, first at step 10") != std::string::npos);
  for (char const* outside : {"http", "src=", "href=", "url(", "import", "fetch("}) {
    CAPTURE(outside);
    CHECK(page.find(outside) == std::string::npos);
  }
}

TEST_CASE("a curve lies where its losses say") {
  std::vector<Row> one(1);
  one[0] = {.settings = {{"rule", "a"}}, .bits_per_byte = 1, .curve = {{10, 4}, {20, 2}, {30, 3}, {40, 0}}};
  auto const page = to_html(summarise(one), "t");
  // By hand: x = 56 + 894 step / 40; y = 10 + 374 (1 - (loss - low) / (high - low)), low 0, high the 0.98 quantile, 3.
  CHECK(page.find("points=\"279.5,10.0 503.0,134.7 726.5,10.0 950.0,384.0\"") != std::string::npos);
}

TEST_CASE("the page has a style for light and one for dark, and its curves follow") {
  auto const page = to_html(summarise(rows()), "t");
  CHECK(count(page, "prefers-color-scheme:dark") == 1);
  CHECK(page.find("style=\"stroke:hsl(0,70%,var(--even))\"") != std::string::npos);
  CHECK(page.find("style=\"stroke:hsl(137,70%,var(--odd))\"") != std::string::npos);
  CHECK(page.find("<i class=\"key\" style=\"background:hsl(0,70%,var(--even))\">") != std::string::npos);
}

TEST_CASE("the same rows give the same bytes, whatever their seconds") {
  auto const page = to_html(summarise(rows()), "t");
  auto others = rows();
  for (auto& row : others) row.seconds *= 3;
  CHECK(to_html(summarise(others), "t") == page);
}

TEST_CASE("rows without curves, or of one loss, still make a page") {
  auto all = rows();
  for (auto& row : all) row.curve.clear();
  CHECK(to_html(summarise(all), "t").find("No run has a curve.") != std::string::npos);
  for (auto& row : all) row.curve = {{1, 2.0}};
  auto const page = to_html(summarise(all), "t");
  auto const chart = page.substr(page.find("<svg"), page.find("</svg>") - page.find("<svg"));
  CHECK(count(chart, "<polyline") == 3);
  CHECK(chart.find("nan") == std::string::npos);
  CHECK(chart.find("inf") == std::string::npos);
}

TEST_CASE("ticks that lie near each other have the digits that tell them apart") {
  std::vector<Row> one(1);
  one[0] = {.settings = {{"rule", "a"}}, .bits_per_byte = 1, .curve = {{10, 2.004}, {20, 2.0}, {30, 2.001}}};
  auto const page = to_html(summarise(one), "t");
  CHECK(page.find(">2.0004</text>") != std::string::npos);
  CHECK(page.find(">2.0002</text>") != std::string::npos);
}

TEST_CASE("losses that differ by less than an axis can show still make a page") {
  auto all = rows();
  for (auto& row : all) row.curve = {{1, 2.0}, {2, std::nextafter(2.0, 3.0)}, {3, 2.0}};
  auto const page = to_html(summarise(all), "t");  // ticks a rounding error apart would never end
  CHECK(count(page, "class=\"grid\"") <= 12);
}
