// SPDX-License-Identifier: Apache-2.0
// A process that saves without end is killed at random times, fifty times over, on a real disk.
#include <sys/mman.h>

#include <atomic>

#include "checkpoint/run.hpp"

using namespace run;

namespace {

/// Larger than in other tests, so that kills fall into writes.
CheckpointContent large(std::int64_t step) {
  auto result = content(step);
  auto const big = at::empty({1 << 20}, at::TensorOptions().dtype(float32));
  std::memset(big.mutable_data_ptr(), static_cast<int>(step % 251), big.nbytes());
  result.weights.emplace_back("big", big);
  return result;
}

}  // namespace

TEST_CASE("fifty kills at random times lose no save that was reported") {
  auto const root = fs::temp_directory_path() / message("lierne-kills-", ::getpid());
  fs::create_directories(root);
  void* const shared = ::mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(shared != MAP_FAILED);
  auto* const reported = new (shared) std::atomic<std::int64_t>(0);
  Random const random{2024, hash("kills")};
  int unfinished = 0, newer = 0;
  for (std::uint64_t kill = 0; kill < 50; ++kill) {
    CAPTURE(kill);
    auto const child = start([&] {
      CheckpointWriter writer(root, {.keep = 2});
      for (auto step = reported->load() + 1;; ++step) {
        writer.save(large(step));
        reported->store(step);
      }
    });
    ::usleep(static_cast<useconds_t>(400'000 * random.uniform(kill)));
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(wait(child).signal == SIGKILL);
    if (!fs::exists(root / "checkpoints")) continue;  // it had not yet begun
    for (auto const& entry : fs::directory_iterator(root / "checkpoints")) {
      unfinished += entry.path().filename().string().find(".partial-") != std::string::npos;
    }
    if (reported->load() == 0 && !has_checkpoint(root)) continue;
    auto const saved = Checkpoint::open(root);
    CHECK(saved.notices().empty());
    CHECK(saved.step() >= reported->load());
    CHECK(saved.step() <= reported->load() + 1);
    newer += saved.step() > reported->load();
    CHECK(difference(saved, large(saved.step())) == "");
    reported->store(saved.step());
  }
  MESSAGE("50 kills, ", reported->load(), " saves survived, ", unfinished, " left unfinished, ", newer, " whole but not yet reported");
  CHECK(reported->load() > 20);
  CHECK(unfinished > 5);
  fs::remove_all(root);
  ::munmap(shared, sizeof(std::atomic<std::int64_t>));
}
