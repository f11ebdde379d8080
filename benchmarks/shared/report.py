# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: running a program that prints one JSON line, and reporting ours beside a peer's."""
from __future__ import annotations

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("LIERNE_BUILD", os.path.join(os.path.dirname(HERE), "build", "release"))
PEERS = {"eager": "PyTorch eager", "compile": "torch.compile"}


def run(command: list[str]) -> dict:
    """The JSON line that a program prints last."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_ours(program: str, arguments: list[str]) -> dict:
    return run([os.path.join(BUILD, "benchmarks", f"bench_{program}"), *arguments])


def run_peer(program: str, arguments: list[str]) -> dict:
    return run([sys.executable, os.path.join(HERE, "peers", f"{program}.py"), *arguments])


class Report:
    """The cases of a benchmark: a line for each, and a file of them all. A ratio above 1 means that lierne is better."""

    def __init__(self):
        self.cases: list[dict] = []

    def add(self, name: str, ours: float, peer: float, peer_name: str, unit: str, higher: bool = False) -> None:
        """`higher`: more is better."""
        ratio = ours / peer if higher else peer / ours
        self.cases.append({"name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ratio, "unit": unit})
        print(f"{name:<44} {ours:12.4g} {peer:12.4g} {ratio:8.3f}  {unit}, against {peer_name}", flush=True)

    def write(self, path: str | None) -> None:
        if path:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(self.cases, file, indent=1)
