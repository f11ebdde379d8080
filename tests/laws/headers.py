# SPDX-License-Identifier: Apache-2.0
"""headers.py ROOT BUILD torch-free|alone [JOBS]: every header compiles as the only include of a unit.

torch-free   the headers that reach no LibTorch header, without LibTorch's include folders
alone        every header, bodies included; each that reaches LibTorch costs its parsing

No precompiled header helps here. In the short tier the other headers are held by their mirrored tests, which include
them first (mirror.py), and by the text: gates.py.
"""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree
from compiler import Compiler

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-missing-field-initializers")


def main() -> int:
    root, build, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    compiler = Compiler(build)
    chosen = [h for h in tree.headers(root) if h.suffix == ".hpp" and (mode == "alone" or tree.torch_free(root, h))]

    def check(header: Path) -> tuple[bool, str]:
        return compiler.check_syntax(f'#include "lierne/{header.as_posix()}"\n', *WARNINGS, torch=mode != "torch-free",
                                     precompiled=False)

    with ThreadPoolExecutor(int(sys.argv[4]) if len(sys.argv) > 4 else 2) as pool:
        results = list(pool.map(check, chosen))
    failed = [(header, output) for header, (good, output) in zip(chosen, results) if not good]
    for header, output in failed:
        print(f"--- {header} does not compile as the only include of a unit\n{output}")
    print(f"{mode}: {len(chosen)} headers, {len(failed)} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
