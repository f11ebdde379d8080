// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/load.hpp"

#include "checkpoint/run.hpp"

using namespace run;

namespace {

/// Three checkpoints, of steps 1, 2, 3.
void three(Folder const& folder) {
  CheckpointWriter writer(folder.path);
  for (std::int64_t const step : {1, 2, 3}) writer.save(content(step));
}

std::string error_of(Folder const& folder, std::string const& which = "latest") {
  try {
    Checkpoint::open(folder.path, which);
    return "";
  } catch (FileError const& error) {
    return error.what();
  }
}

bool holds(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

/// The manifest of a checkpoint changed by hand, its checksum made to fit.
void rewrite(Folder const& folder, char const* step, auto change) {
  auto const path = (folder.checkpoints() / step / "manifest.json").string();
  auto manifest = manifest_from_json(path, read(path));
  change(manifest);
  write(path, to_json(manifest));
}

}  // namespace

TEST_CASE("the latest, the one before and any step open, each as it was saved") {
  Folder const folder("load");
  three(folder);
  CHECK(has_checkpoint(folder.path));
  auto const latest = Checkpoint::open(folder.path);
  CHECK(difference(latest, content(3)) == "");
  CHECK(latest.notices().empty());
  CHECK(latest.has_optimizer());
  CHECK(fs::path(latest.path()) == folder.checkpoints() / "step-000000003");
  CHECK(latest.manifest().lierne == "0.1.0");
  CHECK(difference(Checkpoint::open(folder.path, "previous"), content(2)) == "");
  for (std::int64_t const step : {1, 2, 3}) {
    CHECK(difference(Checkpoint::open(folder.path, std::to_string(step)), content(step)) == "");
  }
}

TEST_CASE("the one before is the one saved before, whatever its step") {
  Folder const folder("load");
  three(folder);
  CheckpointWriter(folder.path).save(content(2, 5));  // the run has gone back and comes by again
  CHECK(difference(Checkpoint::open(folder.path), content(2, 5)) == "");
  CHECK(difference(Checkpoint::open(folder.path, "previous"), content(3)) == "");
  fs::remove(folder.checkpoints() / "step-000000003" / "model.safetensors");
  CHECK(difference(Checkpoint::open(folder.path, "previous"), content(1)) == "");
}

TEST_CASE("a flipped bit anywhere in any file is found, and the one before is there") {
  Folder const folder("load");
  three(folder);
  int flips = 0;
  for (char const* name : {"manifest.json", "model.safetensors", "optimizer.safetensors", "run.safetensors"}) {
    CAPTURE(name);
    auto const path = folder.checkpoints() / "step-000000003" / name;
    auto const good = read(path);
    for (std::size_t i = 0; i < good.size(); i += 1 + good.size() / 150, ++flips) {
      auto bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1 << flips % 8);
      write(path, bad);
      auto const error = error_of(folder);
      CAPTURE(error);
      CHECK(holds(error, path.string()));
      CHECK((holds(error, "expected") && holds(error, "found")));
      CHECK(holds(error, "(previous opens the checkpoint before it)"));
      if (flips % 40 == 0) CHECK(difference(Checkpoint::open(folder.path, "previous"), content(2)) == "");
    }
    write(path, good);
  }
  CHECK(flips > 400);
  CHECK(difference(Checkpoint::open(folder.path), content(3)) == "");
}

TEST_CASE("a file that is cut, grown or gone is named, with what was expected") {
  Folder const folder("load");
  three(folder);
  for (char const* name : {"model.safetensors", "optimizer.safetensors", "run.safetensors", "manifest.json"}) {
    CAPTURE(name);
    auto const path = folder.checkpoints() / "step-000000003" / name;
    auto const good = read(path);
    bool const manifest = std::string(name) == "manifest.json";
    for (std::size_t const bytes : {std::size_t{0}, std::size_t{7}, good.size() / 2, good.size() - 1}) {
      write(path, good.substr(0, bytes));
      CHECK(holds(error_of(folder), path.string() + ": expected "));
      if (!manifest) CHECK(holds(error_of(folder), message(good.size(), " bytes, found ", bytes, " (truncated)")));
    }
    write(path, good + "x");
    CHECK(holds(error_of(folder), path.string() + ": expected "));
    fs::remove(path);
    CHECK(holds(error_of(folder), path.string() + (manifest ? ": cannot be opened: No such file" : ": expected a file of")));
    fs::create_directory(path);
    CHECK(holds(error_of(folder), path.string()));
    fs::remove(path);
    write(path, good);
  }
  CHECK(difference(Checkpoint::open(folder.path), content(3)) == "");
}

TEST_CASE("without latest, or where it names none that is there, the newest complete one is taken, and said to be") {
  Folder const folder("load");
  three(folder);
  auto const latest = folder.checkpoints() / "latest";
  auto const expect = [&](std::int64_t step, std::string const& words) {
    auto const saved = Checkpoint::open(folder.path);
    CHECK(difference(saved, content(step)) == "");
    REQUIRE(saved.notices().size() == 1);
    CAPTURE(saved.notices()[0]);
    CHECK(holds(saved.notices()[0], latest.string() + ": " + words));
    CHECK(holds(saved.notices()[0], message("the newest complete one is taken: step-00000000", step)));
  };
  write(latest, "step-000000007\n");
  expect(3, "names step-000000007, which is not there");
  write(latest, "garbage");
  expect(3, "is missing or names no checkpoint");
  fs::remove(latest);
  expect(3, "is missing or names no checkpoint");
  fs::resize_file(folder.checkpoints() / "step-000000003" / "model.safetensors", 1000);
  expect(2, "is missing or names no checkpoint");
  CHECK(difference(Checkpoint::open(folder.path, "previous"), content(1)) == "");
  fs::remove_all(folder.checkpoints() / "step-000000002");
  fs::remove(folder.checkpoints() / "step-000000001" / "manifest.json");
  auto const error = error_of(folder);
  CHECK(holds(error, "expected a complete checkpoint, found none among 2; step-000000003: "));
  CHECK(holds(error, "; step-000000001: "));
  CHECK(has_checkpoint(folder.path));
}

TEST_CASE("what cannot be used says what was expected") {
  Folder const folder("load");
  CHECK_FALSE(has_checkpoint(folder.path));
  CHECK(error_of(folder) == folder.checkpoints().string() + ": expected a checkpoint, found none");
  CheckpointWriter(folder.path).save(content(1));
  CHECK(holds(error_of(folder, "previous"), "expected a complete checkpoint before step-000000001, found none among 1"));
  CHECK(holds(error_of(folder, "2"), "expected a checkpoint of step 2, found those of steps 1"));
  for (char const* which : {"", "last", "-1", "1x", "99999999999999999999"}) {
    CHECK_THROWS_WITH_AS(Checkpoint::open(folder.path, which), doctest::Contains("expected latest, previous or the number of a step"), ArgumentError);
  }
  auto const good = read(folder.checkpoints() / "step-000000001" / "manifest.json");
  auto const restore = [&] { write(folder.checkpoints() / "step-000000001" / "manifest.json", good); };
  rewrite(folder, "step-000000001", [](Manifest& m) { m.ranks = 4; });
  CHECK(holds(error_of(folder), "manifest.json: expected the checkpoint of 1 process, found one of 4"));
  restore();
  rewrite(folder, "step-000000001", [](Manifest& m) { m.files[1].rank = 1; });
  CHECK(holds(error_of(folder), "found part 0 of the optimizer of rank 1"));
  restore();
  rewrite(folder, "step-000000001", [](Manifest& m) { m.files[1].holds = "model"; });
  CHECK(holds(error_of(folder), "expected one file of the model, found two"));
  restore();
  rewrite(folder, "step-000000001", [](Manifest& m) { m.files.erase(m.files.begin()); });
  CHECK(holds(error_of(folder), "expected a file of the model, found none"));
  restore();
  rewrite(folder, "step-000000001", [](Manifest& m) { m.files.erase(m.files.begin() + 1); });
  auto const weights_alone = Checkpoint::open(folder.path);
  CHECK_FALSE(weights_alone.has_optimizer());
  CHECK_THROWS_WITH_AS(weights_alone.optimizer(), doctest::Contains("expected the optimizer's tensors, found none"), FileError);
}

TEST_CASE("an opened checkpoint outlives its files") {
  Folder const folder("load");
  three(folder);
  auto const saved = Checkpoint::open(folder.path);
  fs::remove_all(folder.checkpoints());
  CHECK(difference(saved, content(3)) == "");
}
