// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/list.hpp"

#include "checkpoint/run.hpp"

using namespace run;

TEST_CASE("names of steps are read back, and nothing else is one") {
  for (std::int64_t const step : {0L, 120L, 999999999L, 1000000000L, 9223372036854775807L}) {
    CHECK(lierne::detail::step_of(lierne::detail::step_name(step)) == step);
  }
  CHECK(lierne::detail::step_name(120) == "step-000000120");
  for (char const* other : {"", "step-", "step-120", "step--00000001", "step-00000012x", "step-000000120.partial-7", "latest", "step-0000000120"}) {
    CAPTURE(other);
    CHECK_FALSE(lierne::detail::step_of(other));
  }
  CHECK(lierne::detail::left_over("step-000000120.partial-7", ".partial-"));
  CHECK(lierne::detail::left_over("latest.partial-7", ".partial-"));
  for (char const* other : {"step-000000120.partial-", "step-000000120.partial-7x", "my.partial-7", "step-000000120"}) {
    CHECK_FALSE(lierne::detail::left_over(other, ".partial-"));
  }
}

TEST_CASE("the newest comes first, whatever its step, and what is not complete says why") {
  Folder const folder("list");
  CHECK(list_checkpoints(folder.path).empty());
  CHECK_FALSE(latest_checkpoint(folder.path));
  CheckpointWriter writer(folder.path);
  for (std::int64_t const step : {10, 30, 20}) writer.save(content(step));
  auto const steps = [&] {
    std::vector<std::int64_t> all;
    for (auto const& c : list_checkpoints(folder.path)) all.push_back(c.step);
    return all;
  };
  CHECK(steps() == std::vector<std::int64_t>{20, 30, 10});
  CHECK(latest_checkpoint(folder.path) == "step-000000020");
  for (auto const& c : list_checkpoints(folder.path)) CHECK(c.complete());

  auto const at = [&](char const* file) { return folder.checkpoints() / file; };
  fs::resize_file(at("step-000000030/model.safetensors"), 100);
  fs::remove(at("step-000000010/optimizer.safetensors"));
  write(at("step-000000020/manifest.json"), "{}");
  fs::create_directories(at("step-000000050"));
  write(at("step-000000060"), "a file");
  fs::create_directories(at("mine"));
  auto const all = list_checkpoints(folder.path);
  REQUIRE(steps() == std::vector<std::int64_t>{30, 10, 60, 50, 20});  // without a manifest: the oldest
  CHECK(all[0].fault.find("step-000000030/model.safetensors: expected ") != std::string::npos);
  CHECK(all[0].fault.find(" bytes, found 100 (truncated)") != std::string::npos);
  CHECK(all[1].fault.find("step-000000010/optimizer.safetensors: expected a file of ") != std::string::npos);
  CHECK(all[2].fault.find("manifest.json: cannot be opened: Not a directory") != std::string::npos);
  CHECK(all[3].fault.find("manifest.json: cannot be opened: No such file") != std::string::npos);
  CHECK(all[4].fault.find("expected a manifest") != std::string::npos);
  fs::rename(at("step-000000030"), at("step-000000031"));
  CHECK(list_checkpoints(folder.path)[0].fault.find("expected the manifest of step 31, found that of step 30") != std::string::npos);
}

TEST_CASE("a file latest that names no checkpoint names nothing") {
  Folder const folder("list");
  fs::create_directories(folder.checkpoints());
  for (char const* text : {"", "\n", "step-000000001", "../step-000000001\n", "step-1\n", "step-000000001\n\n"}) {
    CAPTURE(text);
    write(folder.checkpoints() / "latest", text);
    CHECK_FALSE(latest_checkpoint(folder.path));
  }
  write(folder.checkpoints() / "latest", "step-000000001\n");
  CHECK(latest_checkpoint(folder.path) == "step-000000001");
}
