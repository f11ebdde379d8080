# SPDX-License-Identifier: Apache-2.0
"""Every header has its test: include/lierne/<dir>/<x>.hpp and tests/<dir>/<x>.cpp, which includes it before all else.

The order is a proof: the test's unit compiles, so the header needs nothing that another would have had to include first.
"""
import re
from pathlib import Path

import tree

ASSERTS = re.compile(r"\b(TEST_CASE|SCENARIO|static_assert)\b")


def needs_test(header: Path) -> bool:
    """Umbrella headers are covered by the two-unit test, kernels in CUDA by their rule's test."""
    own = tree.folder(header)
    return bool(own) and header.suffix == ".hpp" and header != Path(own) / f"{own}.hpp"


def violations(root: Path) -> list[str]:
    found = []
    for header in filter(needs_test, tree.headers(root)):
        test = root / "tests" / header.with_suffix(".cpp")
        if not test.exists():
            found.append(f"{header}: no test at {test.relative_to(root)}")
            continue
        if tree.includes(test)[:1] != [f"lierne/{header.as_posix()}"]:
            found.append(f"{test.relative_to(root)}: its first include is not lierne/{header}")
        if not ASSERTS.search(test.read_text(encoding="utf-8")):
            found.append(f"{test.relative_to(root)}: tests nothing")
    return found
