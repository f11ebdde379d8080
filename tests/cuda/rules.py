# SPDX-License-Identifier: Apache-2.0
"""rules.py ROOT BUILD CMAKE NINJA WORK: compiles CUDA kernels for rules in a project of its own, and asks for them.

Configures and builds tests/cuda/project in the empty folder WORK, looks for code for each architecture in the objects,
and runs the program, which needs no GPU. Ends with 77, which is 'skipped', where nvcc or LibTorch's CUDA part is missing.
"""
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

NOT_RUN = 77
RULES = ["adamw", "amsgrad", "qhadamw", "adopt", "qhadopt", "ademamix", "aggmo", "laprop", "lion", "nadam", "rmsprop", "sgd",
         "mine", "other numbers"]
EXPECTED = [f"{rule} capturable" for rule in RULES] + ["library compiled", "unnamed absent", "stepped down"]


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout)
        raise SystemExit(f"failed with {done.returncode}: {' '.join(str(word) for word in command)}")
    return done.stdout


def find_nvcc() -> str:
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    return shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin") or ""


def architectures(data: bytes) -> set[tuple[str, int]]:
    """The kinds ('elf', 'ptx') and architectures of the device code in an object: entries of its fat binaries."""
    found = set()
    start = data.find(b"\x50\xed\x55\xba")
    while start >= 0:
        header, size = struct.unpack_from("<HQ", data, start + 6)
        at, end = start + header, start + header + size
        while at + 32 <= end:
            kind, _, header, size = struct.unpack_from("<HHIQ", data, at)
            found.add(({1: "ptx", 2: "elf"}.get(kind, str(kind)), struct.unpack_from("<I", data, at + 28)[0]))
            at += header + size
        start = data.find(b"\x50\xed\x55\xba", max(end, start + 4))
    return found


def main() -> int:
    root, build, cmake, ninja, work = map(Path, sys.argv[1:6])
    if not find_nvcc():
        print("not run: no nvcc on PATH nor in CUDA_HOME")
        return NOT_RUN
    python = root / ".venv/bin/python"
    torch = Path(run(python if python.exists() else sys.executable, "-c",
                     "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])").strip())
    if not (torch / "lib/libtorch_cuda.so").exists():
        print(f"not run: {torch}/lib has no libtorch_cuda.so (script/setup --for test installs it)")
        return NOT_RUN
    compiler = next(line.split("=", 1)[1] for line in (build / "CMakeCache.txt").read_text().splitlines()
                    if line.startswith("CMAKE_CXX_COMPILER:"))
    shutil.rmtree(work, ignore_errors=True)
    run(cmake, "-G", "Ninja", "-S", root / "tests/cuda/project", "-B", work, f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_CXX_FLAGS=-O0", "-DLIERNE_CUDA=ON", f"-DLIERNE_SOURCE={root}",
        f"-DLIERNE_TORCH_ROOT={torch}")
    run(cmake, "--build", work)
    objects = sorted(work.glob("lierne_cuda_rules_*.o"))
    for found in (architectures(file.read_bytes()) for file in objects):
        if found != {("elf", 80), ("elf", 90), ("ptx", 90)}:
            raise SystemExit(f"expected code for sm_80 and sm_90 and PTX of compute_90, found {sorted(found)}")
    said = run(work / "consumer").splitlines()
    if len(objects) != 2 or said != EXPECTED:
        raise SystemExit(f"{len(objects)} objects; expected {EXPECTED}, the program said {said}")
    again = run(cmake, "--build", work)
    if "no work to do" not in again:
        raise SystemExit(f"a second build was not idle:\n{again}")
    print("compiled for sm_80 and sm_90, linked and found:", ", ".join(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
