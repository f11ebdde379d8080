// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/open_weights.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "lierne/checkpoint/save.hpp"
#include "lierne/tensor/operations.hpp"

using namespace lierne;
namespace fs = std::filesystem;

namespace {

fs::path fresh(std::string const& name) {
  auto const folder = fs::temp_directory_path() / ("lierne_open_weights_" + name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

Tensor weight(double value) { return at::full({2, 3}, value); }

/// A run with checkpoints of the steps 1 and 2, whose weight is the step's number.
fs::path run(std::string const& name) {
  auto const folder = fresh(name);
  CheckpointWriter writer(folder);
  for (int step : {1, 2}) writer.save({.step = step, .weights = {{"w", weight(step)}}});
  return folder;
}

}  // namespace

TEST_CASE("a file, a folder with one, a checkpoint and a run directory open as the weights that lie there") {
  auto const folder = fresh("plain");
  write_safetensors((folder / "any.name").string(), {{"w", weight(7)}});
  CHECK(open_weights(folder / "any.name").tensor("w").equal(weight(7)));
  write_safetensors((folder / "model.safetensors").string(), {{"w", weight(8)}});
  CHECK(open_weights(folder).tensor("w").equal(weight(8)));

  auto const trained = run("run");
  CHECK(open_weights(trained).tensor("w").equal(weight(2)));
  auto const first = trained / "checkpoints/step-000000001";
  CHECK(open_weights(first).tensor("w").equal(weight(1)));
  CHECK(open_weights(first.string() + "/").tensor("w").equal(weight(1)));
  auto const here = fs::current_path();
  fs::current_path(trained / "checkpoints");
  CHECK(open_weights("step-000000001").tensor("w").equal(weight(1)));
  fs::current_path(here);
}

TEST_CASE("what was opened stays readable when the folder is gone") {
  auto const trained = run("gone");
  auto const weights = open_weights(trained);
  fs::remove_all(trained);
  CHECK(weights.tensor("w").equal(weight(2)));
}

TEST_CASE("a checkpoint is verified, however it is named") {
  auto const trained = run("changed");
  auto const file = trained / "checkpoints/step-000000002/model.safetensors";
  {
    std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(-1, std::ios::end);
    out.put('\x7f');
  }
  CHECK_THROWS_WITH_AS(open_weights(trained), doctest::Contains("expected the checksum"), FileError);
  CHECK_THROWS_WITH_AS(open_weights(trained / "checkpoints/step-000000002"), doctest::Contains("expected the checksum"), FileError);
}

TEST_CASE("what holds no weights is named") {
  auto const folder = fresh("none");
  CHECK_THROWS_WITH_AS(open_weights(folder / "nowhere"), doctest::Contains("nowhere: expected a safetensors file, a checkpoint or a run directory, found nothing"), FileError);
  CHECK_THROWS_WITH_AS(open_weights(folder), doctest::Contains("expected a folder with model.safetensors, a checkpoint or a run directory"), FileError);
  std::ofstream(folder / "model.safetensors.index.json") << "{}";
  CHECK_THROWS_WITH_AS(open_weights(folder), doctest::Contains("expected weights in one file, found several"), FileError);
  std::ofstream(folder / "notes.txt") << "no tensors";
  CHECK_THROWS_AS(open_weights(folder / "notes.txt"), FileError);
}
