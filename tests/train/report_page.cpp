// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/report_page.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "lierne/core/error.hpp"
#include "lierne/core/random.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

std::size_t count(std::string const& text, std::string const& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string read(fs::path const& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// A run as they look: warmup, a falling noisy loss, a spike of the gradient, validations and samples.
void fill(ReportPage& page, std::int64_t steps) {
  Random const random{7, 8};
  for (std::int64_t k = 1; k <= steps; ++k) {
    auto const t = static_cast<double>(k) / static_cast<double>(steps), noise = random.normal(static_cast<std::uint64_t>(k));
    auto const warm = std::min(1.0, 20 * t);
    page.write(StepMetrics{.step = k, .steps = steps, .loss = 2.2 + 6 * std::exp(-9 * t) + 0.12 * noise,
                           .grad_norm = 0.6 + 4 * std::exp(-20 * t) + 0.1 * std::abs(noise) + (k == steps / 2 ? 40 : 0),
                           .rate = 2e-3 * warm * (0.5 + 0.5 * std::cos(3 * t)), .tokens_per_s = 3900 + 120 * noise, .seconds = 0.52,
                           .elapsed = 0.52 * static_cast<double>(k), .tokens = 2048 * k, .data_seconds = 0.01 + 0.002 * std::abs(noise)});
    if (k % std::max<std::int64_t>(1, steps / 12) == 0) {
      double const loss = 2.4 + 6 * std::exp(-9 * t);
      page.write(ValidationMetrics{.step = k, .loss = loss, .bits_per_byte = loss / 1.6, .seconds = 1});
    }
    if (k == steps / 2 || k == steps) page.write(TextSample{.step = k, .text = "It was a <day> of\n\"rain\" & \xe2\x82"});
  }
}

fs::path fresh(char const* name) {
  auto const folder = fs::temp_directory_path() / "lierne_report_page" / name;
  fs::remove_all(folder);
  return folder;
}

}  // namespace

TEST_CASE("the page holds curves, samples and configuration, and needs nothing else") {
  // LIERNE_REPORT keeps the page, to look at it.
  auto const* place = std::getenv("LIERNE_REPORT");
  auto const folder = place != nullptr ? fs::path(place) : fresh("whole");
  fs::remove(folder / "report.html");
  ReportPage page(folder, {.title = "Run a & b", .configuration = {{"rule", "adamw <0.001>"}, {"steps", "900"}}});
  fill(page, 900);
  CHECK_FALSE(fs::exists(folder / "report.html"));
  page.end();
  auto const html = read(folder / "report.html");
  CHECK(html == page.html());
  CHECK(html.starts_with("<!doctype html>"));
  CHECK(html.ends_with("</body></html>\n"));
  CHECK(count(html, "<svg") == 6);
  CHECK(count(html, "<polyline") == 7);   // loss twice
  CHECK(count(html, "<polygon") == 5);    // 900 steps in 512 stretches at most; validations are fewer
  CHECK(count(html, "<circle") == 24);
  CHECK(html.find("areas ranges of 2 steps;") != std::string::npos);
  CHECK(html.find("<title>Run a &amp; b</title>") != std::string::npos);
  CHECK(html.find("<b>900</b><span>of 900 steps</span>") != std::string::npos);
  CHECK(html.find("<b>1,843,200</b><span>tokens</span>") != std::string::npos);
  CHECK(html.find("<b>7:48</b>") != std::string::npos);
  CHECK(html.find("It was a &lt;day&gt; of\n&quot;rain&quot; &amp; \xef\xbf\xbd</pre>") != std::string::npos);
  CHECK(html.find("step 900") < html.find("step 450"));  // the newest first
  CHECK(html.find("<tr><td>rule</td><td>adamw &lt;0.001&gt;</td></tr>") != std::string::npos);
  CHECK(html.find("prefers-color-scheme:dark") != std::string::npos);
  for (char const* outside : {"http", "src=", "href=", "url(", "import", "fetch(", "<script", "nan", "inf\""}) {
    CAPTURE(outside);
    CHECK(html.find(outside) == std::string::npos);
  }
}

TEST_CASE("a short run is drawn point by point") {
  auto const folder = fresh("short");
  ReportPage page(folder);
  page.write(StepMetrics{.step = 1, .loss = 4, .rate = 1, .seconds = 1});
  page.write(StepMetrics{.step = 2, .loss = 2, .rate = 1, .seconds = 1});
  auto const html = page.html();
  // By hand: x = 56 + 894 step / 2, y = 10 + 334 (1 - (loss - 2) / 2); the axis ends at the 0.995 quantile of two, the lower one,
  // so that its range is none and reaches twice as high.
  CHECK(html.find("points=\"503.0,10.0 950.0,344.0\"") != std::string::npos);
  CHECK(count(html, "<polygon") == 0);
  CHECK(html.find("every step is drawn;") != std::string::npos);
  CHECK(html.find("Samples") == std::string::npos);
  CHECK(html.find("Configuration") == std::string::npos);
}

TEST_CASE("100,000 steps make no larger page than 2,000, within half a megabyte") {
  auto const folder = fresh("long");
  ReportPage few(folder, {.every = 1e9}), many(folder, {.every = 1e9});
  fill(few, 2'000);
  fill(many, 100'000);
  for (int k = 0; k < 30; ++k) many.write(TextSample{.step = k, .text = std::string(100'000, 'x')});
  CHECK(many.html().size() < 512 << 10);
  CHECK(many.html().size() < few.html().size() * 3 / 2 + 10 * 4100);
  CHECK(count(many.html(), "<pre>") == 10);
}

TEST_CASE("nothing yet is a page too, and numbers that are not finite leave a gap") {
  auto const folder = fresh("empty");
  ReportPage page(folder, {.every = 0});
  CHECK(page.html().find("<svg") == std::string::npos);
  page.write(StepMetrics{.step = 1, .loss = std::nan(""), .grad_norm = INFINITY});
  CHECK(read(folder / "report.html").find("points=\"nan") == std::string::npos);
}

TEST_CASE("a folder that cannot be made says so") {
  CHECK_THROWS_WITH_AS(ReportPage("/proc/no/such"), doctest::Contains("/proc/no/such"), FileError);
}
