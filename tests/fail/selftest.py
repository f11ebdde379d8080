# SPDX-License-Identifier: Apache-2.0
"""selftest.py ROOT BUILD: the harness accepts a good case and refuses each kind of bad one."""
import sys
from pathlib import Path

import run

WANTED = {"good": "", "other_error_first": "the first error of", "compiles": "expected an error",
          "correction_broken": "with -DFIXED either", "no_correction": "no branch for -DFIXED"}


def main() -> int:
    root, compiler = Path(sys.argv[1]), run.Compiler(Path(sys.argv[2]))
    wrong = 0
    for name, words in WANTED.items():
        said = run.judge(root / "tests" / "fail" / "harness" / f"{name}.cpp", root, compiler)
        if (words not in said) or (not words and said):
            print(f"{name}: the harness said '{said}', expected '{words}'")
            wrong += 1
    print(f"{len(WANTED)} cases, {wrong} misjudged")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
