# SPDX-License-Identifier: Apache-2.0
"""The source tree as the laws see it: its headers, what each includes, and what it reaches through its includes."""
import re
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def headers(root: Path) -> list[Path]:
    """Every public header, as a path below include/lierne, in a fixed order."""
    base = root / "include" / "lierne"
    return sorted(p.relative_to(base) for p in base.rglob("*") if p.suffix in (".hpp", ".cuh"))


def includes(path: Path) -> list[str]:
    """The includes of a file as they are written, without quotes or brackets."""
    return [a or b for a, b in INCLUDE.findall(path.read_text(encoding="utf-8"))]


def folder(header: Path) -> str:
    """The folder that a header belongs to; '' for the headers beside the folders."""
    return header.parts[0] if len(header.parts) > 1 else ""


def reached(root: Path, header: Path) -> set[str]:
    """Every include that `header` reaches: its own and those of lierne's headers among them."""
    found: set[str] = set()
    todo = [Path(header)]
    seen = set(todo)
    while todo:
        file = root / "include" / "lierne" / todo.pop()
        if not file.exists():
            continue
        for name in includes(file):
            found.add(name)
            if name.startswith("lierne/"):
                inner = Path(name).relative_to("lierne")
                if inner not in seen:
                    seen.add(inner)
                    todo.append(inner)
    return found


def names_torch(name: str) -> bool:
    return name.split("/")[0] in ("ATen", "c10", "torch", "caffe2", "gloo")


def torch_free(root: Path, header: Path) -> bool:
    """Whether a header reaches no header of LibTorch."""
    return not any(names_torch(name) for name in reached(root, header))
