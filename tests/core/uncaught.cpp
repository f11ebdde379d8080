// SPDX-License-Identifier: Apache-2.0
#include "lierne/core/uncaught.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

using namespace lierne;

namespace {

struct Ended {
  int status = 0;  // as wait gives it
  std::string text{};
};

/// What a child process prints on stderr and how it ends, when `work` throws and nobody catches.
template <class Work>
Ended uncaught(Work work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  auto const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::rlimit const none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    std::signal(SIGABRT, SIG_DFL);  // the test runner's own handler would report
    [&]() noexcept { work(); }();
    std::_Exit(0);
  }
  ::close(ends[1]);
  Ended ended;
  char part[256];
  for (::ssize_t n; (n = ::read(ends[0], part, sizeof part)) > 0;) ended.text.append(part, static_cast<std::size_t>(n));
  ::close(ends[0]);
  REQUIRE(::waitpid(child, &ended.status, 0) == child);
  return ended;
}

}  // namespace

TEST_CASE("an error that nobody catches is its message in a line, and status 1") {
  auto const ended = uncaught([] {
    report_uncaught_errors();
    check<FileError>(false, "runs/a: cannot be made");
  });
  CHECK(WIFEXITED(ended.status));
  CHECK(WEXITSTATUS(ended.status) == 1);
  CHECK(ended.text == "error: runs/a: cannot be made\n");
}

TEST_CASE("calling twice is calling once") {
  auto const ended = uncaught([] {
    report_uncaught_errors();
    report_uncaught_errors();
    throw ArgumentError("twice");
  });
  CHECK(WEXITSTATUS(ended.status) == 1);
  CHECK(ended.text == "error: twice\n");
}

TEST_CASE("other exceptions abort as they did, by the handler that was there") {
  auto const ended = uncaught([] {
    report_uncaught_errors();
    throw std::runtime_error("of someone else");
  });
  CHECK(WIFSIGNALED(ended.status));
  CHECK(WTERMSIG(ended.status) == SIGABRT);
  CHECK(ended.text.find("of someone else") != std::string::npos);
  auto const own = uncaught([] {
    std::set_terminate([] { std::_Exit(7); });
    report_uncaught_errors();
    report_uncaught_errors();
    throw std::runtime_error("of someone else");
  });
  CHECK(WEXITSTATUS(own.status) == 7);
  CHECK(own.text.empty());
}

TEST_CASE("without it the runtime aborts") {
  auto const ended = uncaught([] { throw ArgumentError("bare"); });
  CHECK(WIFSIGNALED(ended.status));
}
