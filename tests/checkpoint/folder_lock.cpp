// SPDX-License-Identifier: Apache-2.0
#include "lierne/checkpoint/folder_lock.hpp"

#include "checkpoint/run.hpp"

using namespace run;

TEST_CASE("a second holder is refused and told who the first is") {
  Folder const folder("lock");
  auto const root = folder.path.string();
  {
    FolderLock const held(root);
    CHECK_THROWS_WITH_AS(FolderLock{root}, doctest::Contains(message(root, ": process ", ::getpid(), " writes").c_str()), FileError);
    auto const child = start([&] { FolderLock const second(root); });
    CHECK(wait(child).exit == 99);
  }
  FolderLock const again(root);
}

TEST_CASE("the lock goes with its process, however it ends, and does not go with a child") {
  Folder const folder("lock");
  auto const root = folder.path.string();
  auto const child = start([&] {
    FolderLock const held(root);
    ::pause();
  });
  while (read(folder.path / ".lock") != message(child, '\n')) ::usleep(1000);
  CHECK_THROWS_WITH_AS(FolderLock{root}, doctest::Contains(message("process ", child).c_str()), FileError);
  REQUIRE(::kill(child, SIGKILL) == 0);
  CHECK(wait(child).signal == SIGKILL);

  auto held = std::make_unique<FolderLock>(root);
  CHECK(wait(start([&] { held.reset(); })).exit == 0);
  CHECK_THROWS_AS(FolderLock{root}, FileError);  // the child's end of it was not ours
  auto const heir = start([] { ::pause(); });
  held.reset();
  FolderLock const next(root);  // though the heir has the old one's file open
  REQUIRE(::kill(heir, SIGKILL) == 0);
  CHECK(wait(heir).signal == SIGKILL);
}

TEST_CASE("a folder that cannot be locked says why") {
  CHECK_THROWS_WITH_AS(FolderLock{"/nowhere"}, "/nowhere/.lock: cannot be opened: No such file or directory", FileError);
}
