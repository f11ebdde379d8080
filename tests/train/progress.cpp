// SPDX-License-Identifier: Apache-2.0
#include "lierne/train/progress.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vector>

using namespace lierne;

namespace {

StepMetrics step(std::int64_t k, double elapsed) {
  return {.step = k, .steps = 100, .loss = 3.25, .grad_norm = 0.5, .rate = 2e-3, .tokens_per_s = 2000, .seconds = 0.5,
          .elapsed = elapsed, .tokens = 1000 * k, .data_seconds = 0.05, .model = {{"activation/norm/rms", 0.75}}};
}

/// What is written to a file that is no terminal.
template <class Write>
std::string plain(ProgressSettings settings, Write const& write) {
  settings.out = std::tmpfile();
  REQUIRE(settings.out != nullptr);
  {
    Progress progress(settings);
    write(progress);
  }
  std::string text(1 << 16, '\0');
  std::rewind(settings.out);
  text.resize(std::fread(text.data(), 1, text.size(), settings.out));
  std::fclose(settings.out);
  return text;
}

/// What is written to a terminal of so many columns.
template <class Write>
std::string on_terminal(unsigned short columns, ProgressSettings settings, Write const& write) {
  int const master = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(master >= 0);
  REQUIRE(::grantpt(master) == 0);
  REQUIRE(::unlockpt(master) == 0);
  ::winsize const size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  REQUIRE(::ioctl(master, TIOCSWINSZ, &size) == 0);
  settings.out = ::fdopen(::open(::ptsname(master), O_WRONLY | O_NOCTTY), "w");
  REQUIRE(settings.out != nullptr);
  Progress progress(settings);
  write(progress);
  ::fcntl(master, F_SETFL, O_NONBLOCK);
  std::string text;
  char part[4096];
  for (::ssize_t got = 0; (got = ::read(master, part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(got));
  std::fclose(settings.out);
  ::close(master);
  return text;
}

std::vector<std::string> lines(std::string const& text, std::string const& between) {
  std::vector<std::string> all;
  std::size_t begin = 0;
  for (auto at = text.find(between); at != std::string::npos; at = text.find(between, begin)) {
    all.push_back(text.substr(begin, at - begin));
    begin = at + between.size();
  }
  all.push_back(text.substr(begin));
  return all;
}

}  // namespace

TEST_CASE("a line holds the numbers of its step, and what is not known is not in it") {
  Progress progress(ProgressSettings{.quiet = true, .flops_per_token = 3e6, .peak = 1e10});
  progress.show(step(1, 1));
  auto line = progress.line(step(1, 1), 0);
  CHECK(line.starts_with("step 1/100  loss 3.2500  grad 0.50  rate 2.00e-03  2,000 tokens/s  60% of peak  500 ms  data 10%  "));
  CHECK(line.find("iB  left 0:50") != std::string::npos);  // 99 steps of half a second
  CHECK(line.find("bits/byte") == std::string::npos);
  progress.show(ValidationMetrics{.step = 1, .loss = 3, .bits_per_byte = 1.5});
  line = progress.line(step(2, 2), 0);
  CHECK(line.find("loss 3.2500  1.5000 bits/byte  grad") != std::string::npos);
  Progress unknown(ProgressSettings{.quiet = true, .flops_per_token = 3e6});
  unknown.show(step(1, 1));
  CHECK(unknown.line(step(1, 1), 0).find("peak") == std::string::npos);
  CHECK(unknown.line(step(100, 1), 0).find("left") == std::string::npos);
}

TEST_CASE("averages begin at the second step, and follow a change within some tens of steps") {
  Progress progress(true);
  auto slow = step(1, 0);
  slow.seconds = 20;
  slow.tokens_per_s = 50;
  progress.show(slow);
  CHECK(progress.line(slow, 0).find("20.0 s") != std::string::npos);
  progress.show(step(2, 0));
  CHECK(progress.line(step(2, 0), 0).find("2,000 tokens/s  500 ms") != std::string::npos);
  auto fast = step(3, 0);
  fast.seconds = 0.004;
  fast.tokens_per_s = 250'000;
  for (int k = 0; k < 100; ++k) progress.show(fast);
  CHECK(progress.line(fast, 0).find("4.0 ms") != std::string::npos);
}

TEST_CASE("a narrow terminal gets what matters most, never more than its columns") {
  Progress progress(ProgressSettings{.quiet = true, .flops_per_token = 3e6, .peak = 1e10});
  progress.show(step(1, 1));
  progress.show(ValidationMetrics{.step = 1, .loss = 3, .bits_per_byte = 1.5});
  std::size_t before = 0;
  for (std::size_t columns = 1; columns <= 160; ++columns) {
    auto const line = progress.line(step(1, 1), columns);
    CHECK(line.size() <= columns);
    CHECK(line.size() >= before - std::min<std::size_t>(before, 12));  // a part comes, a lesser one may go
    CHECK(std::string("step 1/100  loss 3.2500").starts_with(line.substr(0, 23)));
    before = line.size();
  }
  CHECK(progress.line(step(1, 1), 79) == "step 1/100  loss 3.2500  1.5000 bits/byte  grad 0.50  2,000 tokens/s  left 0:50");
  CHECK(progress.line(step(1, 1), 40) == "step 1/100  loss 3.2500  2,000 tokens/s");
}

TEST_CASE("elsewhere than on a terminal there are whole lines, one in ten seconds") {
  auto const text = plain({}, [](Progress& progress) {
    progress.note("a note");
    for (int k = 1; k <= 100; ++k) progress.show(step(k, 0.5 * k));
    progress.show(ValidationMetrics{.step = 100, .loss = 3, .bits_per_byte = 1.5, .seconds = 2});
    progress.end();
  });
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  auto const all = lines(text, "\n");
  REQUIRE(all.size() == 1 + 6 + 1 + 1);  // steps 1, 21, 41, 61, 81, 100
  CHECK(all[0] == "a note");
  CHECK(all[2].starts_with("step 21/100  loss 3.2500"));
  CHECK(all[6].starts_with("step 100/100"));
  CHECK(all[7] == "step 100  held-out loss 3.0000  1.5000 bits/byte  (2.0 s)");
  CHECK(all[8].empty());
}

TEST_CASE("on a terminal the line is rewritten, and what stays begins a line of its own") {
  auto const text = on_terminal(50, {}, [](Progress& progress) {
    for (int k = 1; k <= 4; ++k) progress.show(step(k, 0.5 * k));
    progress.show(ValidationMetrics{.step = 4, .loss = 3, .bits_per_byte = 1.5, .seconds = 2});
    progress.show(step(5, 3));
    progress.end();
    progress.end();
  });
  auto const parts = lines(text, "\r\x1b[2K");
  REQUIRE(parts.size() == 7);
  CHECK(parts[0].empty());
  for (std::size_t i = 1; i <= 4; ++i) {
    CHECK(parts[i].starts_with("step " + std::to_string(i) + "/100  loss 3.2500"));
    CHECK(parts[i].size() < 50);
    CHECK(parts[i].find('\n') == std::string::npos);
  }
  CHECK(parts[5] == "step 4  held-out loss 3.0000  1.5000 bits/byte  (2.0 s)\r\n");
  CHECK(parts[6].ends_with("\r\n"));
  CHECK_FALSE(parts[6].ends_with("\r\n\r\n"));
}

TEST_CASE("quiet says nothing, verbose says everything of every step") {
  auto const write = [](Progress& progress) {
    progress.note("a note");
    for (int k = 1; k <= 3; ++k) progress.show(step(k, 0.01 * k));
    progress.show(ValidationMetrics{.step = 3});
    progress.end();
  };
  CHECK(plain({.quiet = true}, write).empty());
  auto const all = lines(plain({.verbose = true}, write), "\n");
  REQUIRE(all.size() == 1 + 6 + 1 + 1);
  CHECK(all[3].starts_with("step 2/100"));
  CHECK(all[4] == "  activation/norm/rms 0.75");
}
