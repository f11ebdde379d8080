# SPDX-License-Identifier: Apache-2.0
"""check.py LAW ROOT: hold one law over the source tree at ROOT and list what breaks it."""
import importlib
import sys
from pathlib import Path


def main() -> int:
    law, root = importlib.import_module(sys.argv[1]), Path(sys.argv[2])
    found = law.violations(root)
    for line in found:
        print(line)
    if hasattr(law, "summary"):
        print(law.summary(root))
    print(f"{sys.argv[1]}: {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
