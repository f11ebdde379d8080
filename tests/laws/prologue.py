# SPDX-License-Identifier: Apache-2.0
"""How a file begins: the SPDX line; in a header then one sentence saying what it is, and `#pragma once`."""
from pathlib import Path

FOLDERS = ("include", "tests", "examples", "benchmarks", "cmake", "script", ".ci")
SUFFIXES = {".hpp", ".cpp", ".cuh", ".cu", ".py", ".sh", ".cmake", ".in", ".h"}
SKIPPED = {"golden", "__pycache__"}
SPDX = "SPDX-License-Identifier: Apache-2.0"


def sources(root: Path) -> list[Path]:
    """Files that carry a licence line: code, CMake files, and scripts without a suffix."""
    found = [root / "CMakeLists.txt"]
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and not SKIPPED & set(path.relative_to(root).parts):
                if path.suffix in SUFFIXES or path.name == "CMakeLists.txt" or (not path.suffix and folder in ("script", ".ci")):
                    found.append(path)
    return [p for p in found if p.exists()]


def violations(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        name = path.relative_to(root)
        lines = path.read_text(encoding="utf-8").splitlines() + ["", "", ""]
        first = 1 if lines[0].startswith("#!") else 0
        if SPDX not in lines[first]:
            found.append(f"{name}: line {first + 1} is not '{SPDX}'")
        if path.is_relative_to(root / "include"):
            if not lines[1].startswith("// ") or not lines[1].rstrip().endswith((".", ":", ",")) and not lines[2].startswith("//"):
                found.append(f"{name}: line 2 does not say in a sentence what the file is")
            if "#pragma once" not in lines:
                found.append(f"{name}: no #pragma once")
    return found
