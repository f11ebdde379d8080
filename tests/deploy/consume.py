# SPDX-License-Identifier: Apache-2.0
"""consume.py installed|subdirectory|own_torch ROOT BUILD CMAKE NINJA WORK: a project of its own that uses lierne.

Configures, builds and runs tests/deploy/<kind> in the empty folder WORK; `installed` first installs BUILD beside it.
"""
import shutil
import subprocess
import sys
from pathlib import Path


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout)
        raise SystemExit(f"failed with {done.returncode}: {' '.join(str(word) for word in command)}")
    return done.stdout


def cached(build: Path, name: str) -> str:
    for line in (build / "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split("=", 1)[1]
    raise SystemExit(f"{build}/CMakeCache.txt has no {name}")


def main() -> None:
    kind = sys.argv[1]
    root, build, cmake, ninja, work = map(Path, sys.argv[2:7])
    shutil.rmtree(work, ignore_errors=True)
    settings = [f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DCMAKE_CXX_COMPILER={cached(build, 'CMAKE_CXX_COMPILER')}",
                "-DCMAKE_CXX_FLAGS=-O0"]
    if kind == "installed":
        run(cmake, "--install", build, "--prefix", work / "prefix")
        torch = run(root / ".venv/bin/python", "-c", "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])")
        settings += [f"-DCMAKE_PREFIX_PATH={work / 'prefix'}", f"-DLIERNE_TORCH_ROOT={torch.strip()}"]
    else:
        settings += [f"-DLIERNE_SOURCE={root}"]
    run(cmake, "-G", "Ninja", "-S", root / "tests/deploy" / kind, "-B", work / "build", *settings)
    if kind == "own_torch":
        return
    run(cmake, "--build", work / "build")
    said = run(work / "build" / "consumer").strip()
    if not said.endswith("gradient 12"):
        raise SystemExit(f"the consumer printed '{said}', expected it to end with 'gradient 12'")
    print(said)


if __name__ == "__main__":
    main()
