# SPDX-License-Identifier: Apache-2.0
"""Headers stay short: none above 400 lines."""
from pathlib import Path
from statistics import median

import tree

LONGEST = 400


def lengths(root: Path) -> dict[Path, int]:
    base = root / "include" / "lierne"
    return {h: len((base / h).read_text(encoding="utf-8").splitlines()) for h in tree.headers(root)}


def violations(root: Path) -> list[str]:
    return [f"{h}: {n} lines (at most {LONGEST})" for h, n in lengths(root).items() if n > LONGEST]


def summary(root: Path) -> str:
    counted = sorted(lengths(root).values())
    if not counted:
        return "no headers"
    return f"{len(counted)} headers, {median(counted):g} lines in the median, p90 {counted[len(counted) * 9 // 10]}, longest {counted[-1]}"
