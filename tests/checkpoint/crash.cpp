// SPDX-License-Identifier: Apache-2.0
// A save is there whole or not at all, wherever it ends. A child dies before and after each thing that a save does to the file
// system, for one after another of all of them; and a machine loses its power at each, when what was not put on the disk
// is lost.
#include <sys/stat.h>

#include <set>

#include "checkpoint/run.hpp"

using namespace run;

namespace {

constexpr std::size_t chunk = 600;  // bytes a write, so that a file takes several

/// What a save starts from, and does.
struct Scenario {
  std::string name;
  std::int64_t keep;
  std::vector<std::pair<std::int64_t, std::uint64_t>> before;  // steps and seeds of the checkpoints that are there
  bool stale;                                                  // and what a dead process has left
  std::pair<std::int64_t, std::uint64_t> next;

  CheckpointContent fresh() const { return content(next.first, next.second); }
  void lay(Folder const& folder) const {
    for (auto const& [step, seed] : before) CheckpointWriter(folder.path).save(content(step, seed));
    if (!stale) return;
    fs::copy(folder.checkpoints() / "step-000000002", folder.checkpoints() / "step-000000003.partial-1", fs::copy_options::recursive);
    fs::rename(folder.checkpoints() / "step-000000001", folder.checkpoints() / "step-000000001.replaced-1");
    write(folder.checkpoints() / "latest.partial-1", "step-00");
  }
};

std::vector<Scenario> const scenarios{{"the first save of a run", 0, {}, false, {1, 1}},
                                      {"a save that lets go of two older ones", 1, {{1, 1}, {2, 1}}, false, {3, 1}},
                                      {"a save over one of the same step", 0, {{1, 1}, {2, 1}}, false, {2, 9}},
                                      {"a save over the only one, of the same step", 2, {{2, 1}}, false, {2, 9}},
                                      {"a save after another's death", 3, {{1, 1}, {2, 1}}, true, {3, 1}}};

/// `old`, `new` or `none`, when what is opened is that bit for bit; otherwise what is wrong.
std::string found(fs::path const& out, Scenario const& scenario) {
  try {
    auto const saved = Checkpoint::open(out);
    for (auto const& listed : list_checkpoints(out)) {
      if (!listed.complete()) return listed.fault;  // what has a checkpoint's name is whole, also while it is being deleted
    }
    // Only the first checkpoint of a run is there for a moment without being named in latest.
    if (!saved.notices().empty() && !scenario.before.empty()) return saved.notices()[0];
    if (difference(saved, scenario.fresh()).empty()) return "new";
    if (scenario.before.empty()) return "something that was never saved";
    auto const wrong = difference(saved, content(scenario.before.back().first, scenario.before.back().second));
    return wrong.empty() ? "old" : "neither: " + wrong;
  } catch (FileError const& error) {
    return scenario.before.empty() && !has_checkpoint(out) ? "none" : error.what();
  }
}

}  // namespace

TEST_CASE("a process that dies at any point of a save leaves the old checkpoint or the new one") {
  for (auto const& scenario : scenarios) {
    CAPTURE(scenario.name);
    Folder const base("base"), work("work");
    scenario.lay(base);
    int deaths = 0, old = 0, fresh = 0;
    for (int point = 1;; ++point) {
      CAPTURE(point);
      fs::remove_all(work.path);
      fs::copy(base.path, work.path, fs::copy_options::recursive);
      auto const child = start([&] {
        int seen = 0;
        FileHook const die = [&](FileEvent const&) {
          if (++seen == point) ::_exit(77);
          return 0;
        };
        CheckpointWriter(work.path, {.keep = scenario.keep}, Files(die, chunk)).save(scenario.fresh());
      });
      auto const ending = wait(child);
      auto const what = found(work.path, scenario);
      if (ending.exit == 0) {
        CHECK(what == "new");
        break;
      }
      REQUIRE(ending.exit == 77);
      ++deaths;
      bool const known = what == "new" || what == (scenario.before.empty() ? "none" : "old");
      CHECK_MESSAGE(known, what);
      // A process that saves has sight of the new one from one moment on, and never loses it again.
      if (fresh > 0) CHECK(what == "new");
      (what == "new" ? fresh : old) += 1;
      // Whatever is left, the next one goes on from it and clears up.
      CheckpointWriter(work.path, {.keep = 2}).save(content(4));
      CHECK(difference(Checkpoint::open(work.path), content(4)) == "");
      CHECK(left_overs(work) == "");
    }
    CHECK(deaths > 60);
    CHECK(old > 40);
    CHECK(fresh > 0);
    MESSAGE(scenario.name, ": ", deaths, " deaths, ", old, " left what was there before, ", fresh, " the new one");
  }
}

namespace {

/// What of a folder is on the disk, as far as POSIX promises: contents of files whose fsync has ended, and names in directories
/// whose fsync has ended.
class Disk {
 public:
  /// All that is in `root` now is on the disk.
  explicit Disk(fs::path root) : root_(std::move(root)) {
    settle(root_);
    for (auto const& entry : fs::recursive_directory_iterator(root_)) settle(entry.path());
  }

  void see(FileEvent const& event) {
    if (!event.done) return;
    if (event.action == FileAction::create || event.action == FileAction::make_directory) ids_[inode(event.path)] = ++last_;
    if (event.action == FileAction::sync) settle(event.path);
  }

  /// What is there after a loss of power in which nothing reached the disk that had not been told to.
  void least(fs::path const& to) const { lay(id(root_), to); }

  /// The same where every name did, but no content.
  void names(fs::path const& to) const {
    fs::create_directories(to);
    for (auto const& entry : fs::recursive_directory_iterator(root_)) {
      auto const target = to / fs::relative(entry.path(), root_);
      if (entry.is_directory()) {
        fs::create_directories(target);
      } else {
        lay(id(entry.path()), target);
      }
    }
  }

 private:
  static ino_t inode(fs::path const& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status.st_ino;
  }
  int id(fs::path const& path) const {
    auto const found = ids_.find(inode(path));
    return found == ids_.end() ? 0 : found->second;
  }
  void settle(fs::path const& path) {
    // The lock and the directory itself may have been made by other means than a save's.
    int const own = id(path) ? id(path) : ids_[inode(path)] = ++last_;
    if (!fs::is_directory(path)) {
      contents_[own] = read(path);
      return;
    }
    auto& names = directories_[own];
    names.clear();
    for (auto const& entry : fs::directory_iterator(path)) {
      if (!id(entry.path())) ids_[inode(entry.path())] = ++last_;
      names[entry.path().filename().string()] = {id(entry.path()), entry.is_directory()};
    }
  }
  void lay(int own, fs::path const& to) const {
    if (auto const content = contents_.find(own); content != contents_.end()) {
      write(to, content->second);
    } else if (auto const directory = directories_.find(own); directory != directories_.end()) {
      fs::create_directories(to);
      for (auto const& [name, child] : directory->second) {
        if (child.second) fs::create_directories(to / name);
        lay(child.first, to / name);
      }
    } else if (!fs::is_directory(to)) {
      write(to, "");
    }
  }

  fs::path root_;
  int last_ = 0;
  std::map<ino_t, int> ids_;  // an inode's number may come again, an id does not
  std::map<int, std::string> contents_;
  std::map<int, std::map<std::string, std::pair<int, bool>>> directories_;
};

/// Saves under a disk that does not hear the `deaf`-th fsync, and says what went wrong at some loss of power; empty: nothing.
std::string fault_under(Scenario const& scenario, int deaf, std::vector<std::string>& synced, int& losses) {
  Folder const work("disk"), image("image");
  scenario.lay(work);
  Disk disk(work.path);
  std::string fault;
  int syncs = 0;
  auto const look = [&](bool ended) {
    for (bool all_names : {false, true}) {
      fs::remove_all(image.path);
      all_names ? disk.names(image.path) : disk.least(image.path);
      auto const what = found(image.path, scenario);
      bool const right = what == "new" || (!ended && what == (scenario.before.empty() ? "none" : "old"));
      if (!right && fault.empty()) fault = message(all_names ? "names alone: " : "nothing unasked: ", what);
      ++losses;
    }
  };
  FileHook const hook = [&](FileEvent const& event) {
    if (event.done && event.action == FileAction::sync) {
      synced.push_back(fs::path(event.path).lexically_relative(work.path).string());
      if (++syncs == deaf) return 0;
    }
    disk.see(event);
    look(false);
    return 0;
  };
  CheckpointWriter(work.path, {.keep = scenario.keep}, Files(hook, chunk)).save(scenario.fresh());
  look(true);
  return fault;
}

}  // namespace

TEST_CASE("a loss of power at any point of a save leaves the old checkpoint or the new one, and after it the new one") {
  for (auto const& scenario : scenarios) {
    CAPTURE(scenario.name);
    std::vector<std::string> synced;
    int losses = 0;
    CHECK(fault_under(scenario, 0, synced, losses) == "");
    CHECK(losses > 100);
    MESSAGE(scenario.name, ": ", losses, " losses of power");
  }
}

TEST_CASE("the loss of power notices a file, a directory or a name that was not put on the disk") {
  auto const& scenario = scenarios[1];
  std::vector<std::string> synced;
  int losses = 0;
  REQUIRE(fault_under(scenario, 0, synced, losses) == "");
  std::set<std::string> noticed;
  auto const all = synced;
  for (std::size_t deaf = 1; deaf <= all.size(); ++deaf) {
    if (!fault_under(scenario, static_cast<int>(deaf), synced, losses).empty()) noticed.insert(all[deaf - 1]);
  }
  auto const partial = message("checkpoints/step-000000003.partial-", ::getpid());
  for (char const* file : {"/model.safetensors", "/optimizer.safetensors", "/run.safetensors", "/manifest.json", ""}) {
    CAPTURE(file);
    CHECK(noticed.contains(partial + file));
  }
}
