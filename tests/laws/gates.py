# SPDX-License-Identifier: Apache-2.0
"""A header that uses LibTorch reaches, by its own includes, the gate that declares what it uses."""
import re
from pathlib import Path

import tree

GATES = {r"\b(?:at|c10)::|\bTensor\b": ("ATen/", "c10/"), r"\btorch::autograd\b": ("torch/csrc/autograd/",),
         r"\bFunction<": ("torch/csrc/autograd/",), r"\bc10d::": ("torch/csrc/distributed/",)}


def code(text: str) -> str:
    """The text without comments and strings, in which names mean nothing."""
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", " ", text, flags=re.DOTALL)


def violations(root: Path) -> list[str]:
    found = []
    for header in tree.headers(root):
        text = code((root / "include" / "lierne" / header).read_text(encoding="utf-8"))
        reached = tree.reached(root, header)
        for use, gates in GATES.items():
            match = re.search(use, text)
            if match and header.suffix == ".hpp" and not any(name.startswith(gates) for name in reached):
                found.append(f"{header}: uses {match[0]} and reaches no <{gates[0]}...>")
    return found
