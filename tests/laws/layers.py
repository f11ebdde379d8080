# SPDX-License-Identifier: Apache-2.0
"""The layers and the gates: which folder may include which, and which file may name which library."""
from pathlib import Path

import tree

# A folder includes only folders of a smaller rank, or itself. `models` needs `spec` alone.
RANK = {"core": 0, "spec": 1, "models": 2, "tensor": 2, "mesh": 3, "nn": 4, "optim": 4, "data": 4, "checkpoint": 4,
        "parallel": 5, "train": 6, "sweep": 7}
NOT_EVEN_LOWER = {("tensor", "models"), ("models", "tensor")} | {(f, "models") for f in ("mesh", "nn", "optim", "data", "checkpoint")}

# Headers that pull in so much that a unit takes seconds longer.
HEAVY = ("torch/torch.h", "torch/all.h", "torch/extension.h", "torch/nn", "torch/optim", "torch/data", "torch/script.h",
         "bits/stdc++.h", "regex", "ranges", "lierne/lierne.hpp")

# What must stay free of LibTorch: records, and parsers of files that nobody vouches for (they are fuzzed alone).
TORCH_FREE_FOLDERS = ("core", "spec", "models")
TORCH_FREE_FILES = ("checkpoint/safetensors_header.hpp", "checkpoint/manifest.hpp", "checkpoint/list.hpp", "data/utf8.hpp", "data/unicode.hpp", "data/unicode_tables.hpp",
                    "data/pretokenize.hpp", "data/tokenizer.hpp")


def is_kernel(header: Path) -> bool:
    return "kernel" in header.parts[:-1]


def may_name(header: Path, name: str) -> str:
    """'' if `header` may include `name` as far as the gates go, otherwise the rule that it breaks."""
    own = tree.folder(header)
    if name.startswith("torch/csrc/distributed"):
        return "" if own == "mesh" else "only mesh/ names c10d"
    if tree.names_torch(name):
        return "" if own == "tensor" or is_kernel(header) else "only tensor/ and */kernel/ name LibTorch's headers"
    if name.startswith(("boost/", "range/v3")):
        return "not a dependency: script/setup installs neither Boost nor range-v3"
    if name.startswith(("cuda", "nccl", "cub/", "thrust/")):
        return "" if header.suffix == ".cuh" or own == "mesh" else "only */kernel/*.cuh hold CUDA"
    return ""


def violations(root: Path) -> list[str]:
    found = []
    for header in tree.headers(root):
        own = tree.folder(header)
        path = root / "include" / "lierne" / header
        if own and own not in RANK:
            found.append(f"{header}: folder {own}/ has no rank in tests/laws/layers.py")
            continue
        if header.suffix == ".cuh" and not is_kernel(header):
            found.append(f"{header}: .cuh files live in */kernel/")
        for name in tree.includes(path):
            if rule := may_name(header, name):
                found.append(f"{header}: includes {name} ({rule})")
            if any(name == heavy or name.startswith(heavy + "/") for heavy in HEAVY):
                found.append(f"{header}: includes {name} (too heavy for a header)")
            if not name.startswith("lierne/") or name == "lierne/version.hpp":
                continue
            other = tree.folder(Path(name).relative_to("lierne"))
            if not (root / "include" / name).exists():
                found.append(f"{header}: includes {name}, which does not exist")
            elif own and other != own and (RANK.get(other, 99) >= RANK[own] or (own, other) in NOT_EVEN_LOWER):
                found.append(f"{header}: includes {name} ({own}/ may not see {other}/)")
        free = own in TORCH_FREE_FOLDERS or header.as_posix() in TORCH_FREE_FILES or header.as_posix() == "version.hpp"
        if free and not tree.torch_free(root, header):
            found.append(f"{header}: reaches LibTorch (must be free of it)")
    return found
