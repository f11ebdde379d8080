// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/save.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <set>

#include "checkpoint/run.hpp"
#include "lierne/checkpoint/input_file.hpp"

using namespace run;

namespace {

std::set<std::string> names(fs::path const& folder) {
  std::set<std::string> all;
  for (auto const& entry : fs::directory_iterator(folder)) all.insert(entry.path().filename().string());
  return all;
}

std::set<std::string> steps(Folder const& folder) {
  auto all = names(folder.checkpoints());
  all.erase(".lock");
  all.erase("latest");
  return all;
}

}  // namespace

TEST_CASE("a checkpoint is a directory of safetensors files and a manifest with their sizes and sums") {
  Folder const folder("save");
  auto const wanted = content(120);
  auto const report = CheckpointWriter(folder.path).save(wanted);
  CHECK(names(folder.checkpoints()) == std::set<std::string>{".lock", "latest", "step-000000120"});
  CHECK(read(folder.checkpoints() / "latest") == "step-000000120\n");
  auto const at = folder.checkpoints() / "step-000000120";
  CHECK(fs::path(report.path) == at);
  CHECK(names(at) == std::set<std::string>{"manifest.json", "model.safetensors", "optimizer.safetensors", "run.safetensors"});
  auto const manifest = manifest_from_json("m", read(at / "manifest.json"));
  CHECK(manifest.step == 120);
  CHECK(manifest.facts == wanted.facts);
  CHECK(manifest.weights_dtype.empty());
  std::uint64_t bytes = 0;
  for (auto const& f : manifest.files) {
    auto const digest = digest_of((at / f.name).string());
    CHECK(digest.bytes == f.bytes);
    CHECK(digest.digits == f.xxh128);
    CHECK(f.name == f.holds + ".safetensors");
    bytes += f.bytes;
  }
  CHECK(report.bytes == bytes);
  CHECK(report.seconds > 0);
  // The files are plain ones: another writer of the format makes the same tensors of them.
  auto const model = SafeTensors::open((at / "model.safetensors").string());
  CHECK(model.names().size() == wanted.weights.size());
  CHECK((model.dtype("norm.weight") == bfloat16));
  CHECK(SafeTensors::open((at / "optimizer.safetensors").string()).contains("optim.state.layers.0.w1.weight.exp_avg"));
}

TEST_CASE("what is saved loads bit for bit, in every dtype and form") {
  Folder const folder("save");
  CheckpointWriter writer(folder.path);
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    writer.save(content(7, seed));
    CHECK(difference(Checkpoint::open(folder.path), content(7, seed)) == "");
  }
  CHECK(difference(Checkpoint::open(folder.path), content(7, 4)) != "");
  CHECK(left_overs(folder) == "");
}

TEST_CASE("weights are rounded once to the dtype asked for, and nothing else is") {
  Folder const folder("save");
  auto wanted = content(1);
  auto const values = at::linspace(-3, 3, 77, at::TensorOptions().dtype(float64));
  wanted.weights = {{"double", values}, {"single", values.to(float32)}, {"brain", values.to(bfloat16)}, {"count", bits({3}, int64, 1)},
                    {"eight", values.to(float8_e4m3)}};
  CheckpointWriter(folder.path, {.dtype = bfloat16}).save(wanted);
  auto const saved = Checkpoint::open(folder.path);
  CHECK(saved.manifest().weights_dtype == "bfloat16");
  for (char const* name : {"double", "single", "brain"}) CHECK((saved.weights().dtype(name) == bfloat16));
  CHECK(same(saved.weights().tensor("double"), values.to(bfloat16)));
  CHECK(same(saved.weights().tensor("single"), values.to(float32).to(bfloat16)));
  CHECK(same(saved.weights().tensor("brain"), values.to(bfloat16)));
  CHECK(same(saved.weights().tensor("count"), bits({3}, int64, 1)));
  CHECK(same(saved.weights().tensor("eight"), values.to(float8_e4m3)));
  for (auto const& [name, tensor] : saved.optimizer()) CHECK(same(tensor, wanted.optimizer.at(name)));
  wanted.weights.erase(wanted.weights.begin());
  wanted.weights.erase(wanted.weights.begin());
  CheckpointWriter(folder.path, {.dtype = bfloat16}).save(wanted);
  CHECK(Checkpoint::open(folder.path).manifest().weights_dtype.empty());  // there was nothing to round
}

TEST_CASE("weights alone, and weights without some") {
  Folder const folder("save");
  CheckpointWriter(folder.path, {.model_only = true}).save(content(1));
  auto const alone = Checkpoint::open(folder.path);
  CHECK_FALSE(alone.has_optimizer());
  CHECK(alone.run().empty());
  CHECK(alone.facts() == content(1).facts);
  CHECK(names(fs::path(alone.path())) == std::set<std::string>{"manifest.json", "model.safetensors"});

  auto const report = CheckpointWriter(folder.path, {.exclude = {"*.w2.weight*", "scalar", "nothing.*"}}).save(content(2));
  CHECK(std::set<std::string>(report.excluded.begin(), report.excluded.end()) ==
        std::set<std::string>{"layers.0.w2.weight", "scalar", "optim.state.layers.0.w2.weight.exp_avg",
                              "optim.state.layers.0.w2.weight.exp_avg_sq"});
  CHECK(report.unmatched == std::vector<std::string>{"nothing.*"});
  auto const some = Checkpoint::open(folder.path);
  CHECK_FALSE(some.weights().contains("layers.0.w2.weight"));
  CHECK(some.weights().contains("layers.0.w1.weight"));
  CHECK(some.optimizer().size() == 3);
  CHECK(some.manifest().excluded.size() == 3);

  auto without_state = content(3);
  without_state.optimizer.clear();
  CheckpointWriter(folder.path).save(without_state);
  CHECK(Checkpoint::open(folder.path).has_optimizer());  // a run before its first step can be gone on from
}

TEST_CASE("so many of the newest are kept, and never fewer whole ones") {
  Folder const folder("save");
  CheckpointWriter writer(folder.path, {.keep = 2});
  std::vector<std::string> removed;
  for (std::int64_t const step : {5, 6, 7, 3}) {
    auto const report = writer.save(content(step));
    removed.insert(removed.end(), report.removed.begin(), report.removed.end());
  }
  CHECK(removed == std::vector<std::string>{"step-000000005", "step-000000006"});
  CHECK(steps(folder) == std::set<std::string>{"step-000000003", "step-000000007"});  // saved last, whatever their steps
  fs::remove(folder.checkpoints() / "step-000000003" / "model.safetensors");
  CHECK(writer.save(content(8)).removed.empty());  // the damaged one does not count
  CHECK(writer.save(content(9)).removed == std::vector<std::string>{"step-000000003", "step-000000007"});
  CHECK(difference(Checkpoint::open(folder.path), content(9)) == "");
  CHECK(difference(Checkpoint::open(folder.path, "previous"), content(8)) == "");
  CHECK(left_overs(folder) == "");
}

TEST_CASE("what is not a checkpoint's is left alone") {
  Folder const folder("save");
  fs::create_directories(folder.checkpoints() / "my.partial-7");
  write(folder.checkpoints() / "notes.txt", "mine");
  CheckpointWriter writer(folder.path, {.keep = 1});
  for (std::int64_t const step : {1, 2}) writer.save(content(step));
  CHECK(steps(folder) == std::set<std::string>{"my.partial-7", "notes.txt", "step-000000002"});
}

TEST_CASE("a save that fails at any point says so, and the old checkpoint or the new one is there") {
  // Every action in turn is refused with what full disks and broken ones answer.
  for (int const error : {ENOSPC, EIO}) {
    Folder const folder("save");
    int point = 0, seen = 0, before_commit = 0;
    Files const files([&](FileEvent const& event) { return !event.done && ++seen == point ? error : 0; }, 600);
    CheckpointWriter writer(folder.path, {.keep = 1}, files);
    writer.save(content(1));
    for (point = 1;; ++point) {
      CAPTURE(point);
      seen = 0;
      auto const next = content(1 + point);
      try {
        writer.save(next);
        break;
      } catch (FileError const& failed) {
        CAPTURE(failed.what());
        std::string const words = failed.what();
        CHECK(words.starts_with(folder.checkpoints().string()));
        CHECK(words.find(std::strerror(error)) != std::string::npos);
        bool const whole = words.find("itself is whole") != std::string::npos;
        auto const saved = Checkpoint::open(folder.path);
        if (!whole && difference(saved, content(point)) == "") ++before_commit;
        CHECK((difference(saved, content(point)) == "" || difference(saved, next) == ""));
        CHECK(Checkpoint::open(folder.path).notices().empty());
        if (!whole) CHECK(left_overs(folder) == "");
      }
      seen = -1000000;
      writer.save(next);  // the same writer tries again
      CHECK(difference(Checkpoint::open(folder.path), next) == "");
      CHECK(left_overs(folder) == "");
    }
    CHECK(before_commit > 30);
    MESSAGE(std::string(std::strerror(error)), ": ", point - 1, " points at which a save failed, ", before_commit, " before it was whole");
  }
}

TEST_CASE("a full disk is an error with its words, and the old checkpoint is as it was") {
  Folder const folder("save");
  auto const big = [] {
    auto result = content(2);
    result.weights.emplace_back("big", bits({1 << 19}, at::kByte, 1));
    return result;
  };
  auto const full = [&](char const* words) {
    CheckpointWriter writer(folder.path);
    writer.save(content(1));
    std::string what = "no error";
    try {
      writer.save(big());
    } catch (FileError const& error) {
      what = error.what();
    }
    check(what.find("model.safetensors: cannot be") != std::string::npos && what.find(words) != std::string::npos, "said: ", what);
    auto const wrong = difference(Checkpoint::open(folder.path), content(1));
    check(wrong.empty() && left_overs(folder).empty(), "left: ", wrong, left_overs(folder));
    writer.save(content(3));  // there is room again
    check(difference(Checkpoint::open(folder.path), content(3)).empty(), "the next save differs");
  };
  SUBCASE("of a small file system of its own") {
    auto const ending = wait(start([&] {
      // In a namespace of this child alone: nothing stays mounted, however it ends.
      if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("lierne", folder.path.c_str(), "tmpfs", 0, "size=256k") != 0) {
        ::_exit(78);
      }
      full("No space left on device");
    }));
    if (ending.exit == 78) {
      MESSAGE("no file system can be mounted here");
    } else {
      CHECK(ending.exit == 0);
    }
  }
  SUBCASE("of a limit on files") {
    CHECK(wait(start([&] {
            ::signal(SIGXFSZ, SIG_IGN);
            rlimit const limit{1 << 18, 1 << 18};
            ::setrlimit(RLIMIT_FSIZE, &limit);
            full("File too large");
          })).exit == 0);
  }
}

TEST_CASE("a place that cannot be written to is named") {
  Folder const folder("save");
  write(folder.path / "file", "");
  CHECK_THROWS_WITH_AS(CheckpointWriter(folder.path / "file"),
                       ((folder.path / "file").string() + ": expected a directory, found a file").c_str(), FileError);
  write(folder.checkpoints(), "");
  CHECK_THROWS_WITH_AS(CheckpointWriter{folder.path}, (folder.checkpoints().string() + ": expected a directory, found a file").c_str(),
                       FileError);
  CHECK_THROWS_WITH_AS(CheckpointWriter("/proc/lierne"), doctest::Contains("/proc/lierne: the directory cannot be made"), FileError);
  if (::geteuid() != 0) {  // root writes everywhere
    fs::remove(folder.checkpoints());
    fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec);
    CHECK_THROWS_WITH_AS(CheckpointWriter{folder.path}, doctest::Contains("Permission denied"), FileError);
    fs::permissions(folder.path, fs::perms::owner_all);
  }
}

TEST_CASE("a second writer is refused, and the first goes on") {
  Folder const folder("save");
  CheckpointWriter writer(folder.path);
  writer.save(content(1));
  auto const words = message("process ", ::getpid(), " writes checkpoints here");
  CHECK_THROWS_WITH_AS(CheckpointWriter{folder.path}, doctest::Contains(words.c_str()), FileError);
  CHECK(wait(start([&] {
          try {
            CheckpointWriter const second(folder.path);
          } catch (FileError const& error) {
            if (std::string(error.what()).find(words) != std::string::npos) ::_exit(42);
          }
        })).exit == 42);
  writer.save(content(2));
  CHECK(difference(Checkpoint::open(folder.path), content(2)) == "");
}

TEST_CASE("what cannot be saved is refused before anything is written") {
  Folder const folder("save");
  CHECK_THROWS_WITH_AS(CheckpointWriter(folder.path, {.dtype = int64}), doctest::Contains("expected float64, float32"), ArgumentError);
  CHECK_THROWS_WITH_AS(CheckpointWriter(folder.path, {.keep = -1}), doctest::Contains("keep: expected a number from 0"), ArgumentError);
  CheckpointWriter writer(folder.path);
  writer.save(content(1));
  CHECK_THROWS_WITH_AS(writer.save({.step = -1}), doctest::Contains("step: expected a number from 0, found -1"), ArgumentError);
  auto twice = content(2);
  twice.weights.push_back(twice.weights[0]);
  CHECK_THROWS_WITH_AS(writer.save(twice), doctest::Contains("'layers.0.w1.weight' is given twice"), FileError);
  auto complex = content(2);
  complex.run.emplace_back("z", at::zeros({1}, at::kComplexFloat));
  CHECK_THROWS_WITH_AS(writer.save(complex), doctest::Contains("safetensors has no dtype"), ShapeError);
  auto latin = content(2);
  latin.facts.set("name", "\xff");
  CHECK_THROWS_AS(writer.save(latin), ArgumentError);
  auto name = content(2);
  name.weights.emplace_back("\xff", at::zeros({1}));
  CHECK_THROWS_WITH_AS(writer.save(name), doctest::Contains("names of tensors in UTF-8"), ShapeError);
  CHECK(steps(folder) == std::set<std::string>{"step-000000001"});
  CHECK(difference(Checkpoint::open(folder.path), content(1)) == "");
}
