// SPDX-License-Identifier: Apache-2.0
// Runs a test case of this executable in several processes that find each other through the environment.
#pragma once

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

namespace processes {

inline int free_port() {
  int const socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

/// Starts `world` processes on the (otherwise skipped) test case `name` and requires that all of them run and pass it.
/// A comma in `name` would end it.
inline void run(std::string const& name, int world) {
  auto const port = std::to_string(free_port());
  auto const folder = std::filesystem::temp_directory_path() / ("lierne-ranks-" + port);
  std::filesystem::create_directories(folder);
  std::vector<pid_t> children;
  for (int rank = 0; rank < world; ++rank) {
    std::vector<std::string> variables{"RANK=" + std::to_string(rank), "WORLD_SIZE=" + std::to_string(world),
                                       "LOCAL_RANK=" + std::to_string(rank), "MASTER_ADDR=127.0.0.1",
                                       "MASTER_PORT=" + port, "OMP_NUM_THREADS=1"};
    for (char** v = environ; *v != nullptr; ++v) variables.emplace_back(*v);
    std::vector<std::string> arguments{"/proc/self/exe", "--test-case=" + name, "--no-skip", "--no-colors",
                                       "--out=" + (folder / std::to_string(rank)).string()};
    std::vector<char*> argv, envp;
    for (auto& a : arguments) argv.push_back(a.data());
    for (auto& v : variables) envp.push_back(v.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    pid_t child = 0;
    REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv.data(), envp.data()) == 0);
    children.push_back(child);
  }
  // The others of one that fails would wait for it: they get a moment to say what they found.
  std::vector<int> statuses(children.size());
  for (auto running = children; !running.empty();) {
    int status = 0;
    pid_t const child = ::waitpid(-1, &status, 0);
    REQUIRE(std::erase(running, child) == 1);
    statuses[static_cast<std::size_t>(std::find(children.begin(), children.end(), child) - children.begin())] = status;
    if (status == 0) continue;
    if (!running.empty()) ::sleep(3);
    for (pid_t const other : running) ::kill(other, SIGKILL);  // one that has ended meanwhile is not hurt
  }
  for (std::size_t rank = 0; rank < children.size(); ++rank) {
    int const status = statuses[rank];
    std::ostringstream report;
    report << std::ifstream(folder / std::to_string(rank)).rdbuf();
    INFO("rank ", rank, " of ", world, ":\n", report.str());
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    // A name that no case has would pass as well.
    CHECK(report.str().find(" 1 passed | 0 failed") != std::string::npos);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace processes
