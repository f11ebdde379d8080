# SPDX-License-Identifier: Apache-2.0
"""The version is the same in CMakeLists.txt and include/lierne/version.hpp, and the changelog knows it or is ahead of it."""
import re
from pathlib import Path


def violations(root: Path) -> list[str]:
    cmake = re.search(r"project\(\s*lierne\s+VERSION\s+(\d+)\.(\d+)\.(\d+)", (root / "CMakeLists.txt").read_text())
    header = re.search(r"Version version\{(\d+), (\d+), (\d+), \"([^\"]*)\"\}",
                       (root / "include" / "lierne" / "version.hpp").read_text())
    if not cmake:
        return ["CMakeLists.txt: no project(lierne VERSION x.y.z)"]
    if not header:
        return ["include/lierne/version.hpp: no `Version version{x, y, z, \"x.y.z\"}`"]
    found = []
    wanted = ".".join(cmake.groups())
    if ".".join(header.groups()[:3]) != wanted or header[4] != wanted:
        found.append(f"include/lierne/version.hpp: {header[0]}, CMakeLists.txt says {wanted}")
    if not re.search(r"^## \[(Unreleased|%s)\]" % re.escape(wanted), (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        found.append(f"CHANGELOG.md: neither [Unreleased] nor [{wanted}]")
    return found
