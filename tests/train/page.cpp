// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/page.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace lierne;

namespace {

std::size_t count(std::string const& text, std::string const& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a curve lies where its values say") {
  std::vector<Curve> const curves{{.label = "a <b>", .points = {{10, 4}, {20, 2}, {30, 3}, {40, 0}}, .id = "one", .dots = true}};
  auto const svg = svg_chart({.label = "loss", .clip = 1}, curves);
  // By hand: x = 56 + 894 step / 40; y = 10 + 374 (1 - value / 4).
  CHECK(svg.find("id=\"one\" points=\"279.5,10.0 503.0,197.0 726.5,103.5 950.0,384.0\"") != std::string::npos);
  CHECK(svg.find("<title>a &lt;b&gt;</title>") != std::string::npos);
  CHECK(count(svg, "<circle") == 4);
  CHECK(svg.find("cx=\"503.0\" cy=\"197.0\"") != std::string::npos);
  CHECK(svg.find("<title>20: 2</title>") != std::string::npos);
  CHECK(svg.find("aria-label=\"loss\"") != std::string::npos);
}

TEST_CASE("a band goes along its low side and back along its high side") {
  std::vector<Curve> const curves{{.points = {{0, 1}, {1, 1}}, .band_low = {{0, 0}, {1, 0.5}}, .band_high = {{0, 2}, {1, 1.5}}}};
  auto const svg = svg_chart({.clip = 1, .from_zero = true}, curves);
  CHECK(svg.find("<polygon points=\"56.0,384.0 950.0,197.0 950.0,10.0 56.0,10.0\"") != std::string::npos);  // above the axis: its end
  CHECK(svg.find("<polygon") < svg.find("<polyline"));
}

TEST_CASE("the axis ends where nearly all values do, or begins at zero") {
  std::vector<Curve> curves(1);
  for (int k = 1; k <= 200; ++k) curves[0].points.push_back({double(k), k == 1 ? 1e6 : 5.0 + 0.001 * k});
  CHECK(svg_chart({}, curves).find(">5.10</text>") != std::string::npos);
  CHECK(svg_chart({.clip = 1}, curves).find(">1000000.00</text>") != std::string::npos);
  CHECK(svg_chart({.from_zero = true}, curves).find(">0.00</text>") != std::string::npos);
  CHECK(svg_chart({.digits = 0, .from_zero = true}, curves).find(">0</text>") != std::string::npos);
}

TEST_CASE("one value, tiny differences and no finite value make a chart or none") {
  for (double value : {0.0, 1e-7, 3.0, -2.0, 1e9}) {
    CAPTURE(value);
    std::vector<Curve> const flat{{.points = {{1, value}, {2, value}, {3, std::nextafter(value, 1e300)}}}};
    auto const svg = svg_chart({}, flat);
    CHECK(count(svg, "<polyline") == 1);
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
    CHECK(count(svg, "class=\"grid\"") <= 12);
    CHECK(count(svg, "class=\"grid\"") >= 2);
  }
  std::vector<Curve> const none{{.points = {{1, std::numeric_limits<double>::quiet_NaN()}}}};
  CHECK(svg_chart({}, none).empty());
  CHECK(svg_chart({}, {}).empty());
}

TEST_CASE("a page begins with its style for light and dark, and escapes its title") {
  auto const page = page_begin("a & <b>", "p{margin:0}");
  CHECK(page.starts_with("<!doctype html>"));
  CHECK(page.find("prefers-color-scheme:dark") != std::string::npos);
  CHECK(page.find("p{margin:0}\n") == std::string::npos);
  CHECK(page.find("p{margin:0}</style>") != std::string::npos);
  CHECK(page.find("<title>a &amp; &lt;b&gt;</title>") != std::string::npos);
  CHECK(page.ends_with("<h1>a &amp; &lt;b&gt;</h1>\n"));
  CHECK(escape_html("\"'") == "&quot;'");
  CHECK(curve_colour(0) == "hsl(0,70%,var(--even))");
  CHECK(curve_colour(1) == "hsl(137,70%,var(--odd))");
}
