# SPDX-License-Identifier: Apache-2.0
"""headers.py ROOT BUILD torch-free|with-torch|alone: every header compiles as the only include of a unit.

torch-free   the headers that reach no LibTorch header, without precompiled header and without LibTorch's include folders
with-torch   the others, with the precompiled header standing in for the LibTorch headers; a header that names at:: or
             c10:: must then reach the gate by its own includes, which is looked up in the text
alone        every header without any help; each costs the parsing of LibTorch
"""
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree
from compiler import Compiler

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-missing-field-initializers")
GATES = {r"\b(at|c10)::|\bTensor\b": "ATen/", r"\btorch::autograd\b|\bFunction<": "torch/csrc/autograd/",
         r"\bc10d::": "torch/csrc/distributed/"}


def without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", " ", text, flags=re.DOTALL)


def missing_gates(root: Path, header: Path) -> list[str]:
    """What a header uses of LibTorch without reaching the headers that declare it."""
    code = without_comments((root / "include" / "lierne" / header).read_text(encoding="utf-8"))
    reached = tree.reached(root, header)
    return [f"uses {use} and reaches no <{gate}...>" for use, gate in GATES.items()
            if re.search(use, code) and not any(name.startswith(gate) for name in reached)]


def main() -> int:
    root, build, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    compiler = Compiler(build)
    chosen = [h for h in tree.headers(root) if h.suffix == ".hpp"]
    if mode != "alone":
        chosen = [h for h in chosen if tree.torch_free(root, h) == (mode == "torch-free")]

    def check(header: Path) -> str:
        good, output = compiler.check_syntax(f'#include "lierne/{header.as_posix()}"\n', *WARNINGS, torch=mode != "torch-free",
                                             precompiled=mode == "with-torch")
        said = "" if good else output
        if mode == "with-torch":
            said += "".join(f"{header}: {line}\n" for line in missing_gates(root, header))
        return said

    with ThreadPoolExecutor(int(sys.argv[4]) if len(sys.argv) > 4 else 2) as pool:
        outputs = list(pool.map(check, chosen))
    failed = 0
    for header, said in zip(chosen, outputs):
        if said:
            failed += 1
            print(f"--- {header} does not compile as the only include of a unit\n{said}")
    print(f"{mode}: {len(chosen)} headers, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
