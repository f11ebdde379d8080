# SPDX-License-Identifier: Apache-2.0
"""The compiler and flags of a build folder, for tests that compile something themselves."""
import json
import os
import shlex
import subprocess
from pathlib import Path


class Compiler:
    """How the build folder compiles its precompiled header's unit; that header is valid under these flags alone."""

    def __init__(self, build: Path):
        unit = "lierne_precompiled.cpp"
        rows = json.loads((build / "compile_commands.json").read_text())
        rows = [row for row in rows if Path(row["file"]).name == unit]
        if len(rows) != 1:
            raise SystemExit(f"{build}: compile_commands.json names {unit} {len(rows)} times, expected once")
        words = shlex.split(rows[0]["command"])
        # A launcher (ccache and its settings) stands before the compiler, which is the last word before the first option.
        first = next(i for i, word in enumerate(words) if word.startswith("-") and i > 0 and not words[i - 1].endswith("cmake"))
        self.folder = Path(rows[0]["directory"])
        self.command = words[first - 1]
        self.flags, self.precompiled, self.torch = [], [], []
        rest = iter(words[first:])
        for word in rest:
            if word in ("-o", "-c"):
                next(rest)
            elif word == "-include":
                self.precompiled += [word, next(rest)]
            elif word == "-isystem":
                place = next(rest)
                (self.torch if "/torch/" in place or place.endswith("/gloo") else self.flags).extend([word, place])
            elif not word.startswith("-fpch-"):
                self.flags.append(word)

        if self.precompiled and not Path(self.precompiled[1] + ".gch").exists():
            raise SystemExit(f"{self.precompiled[1]}.gch is not built: build the target lierne_precompiled first")

    def line(self, *, torch: bool, precompiled: bool) -> list[str]:
        """The command line up to its files. `precompiled`: as a target with lierne_precompile compiles."""
        return [self.command, *self.flags, *(self.torch if torch else []),
                *(["-DLIERNE_COMPILED", "-Werror=invalid-pch", *self.precompiled] if precompiled else [])]

    def check_syntax(self, code: str | Path, *extra: str, torch: bool, precompiled: bool) -> tuple[bool, str]:
        """Parses a file, or a text on standard input, and says whether it compiles and what the compiler wrote."""
        given = isinstance(code, Path)
        command = [*self.line(torch=torch, precompiled=precompiled), "-fsyntax-only", "-fdiagnostics-color=never", *extra,
                   "-x", "c++", str(code) if given else "-"]
        done = subprocess.run(command, cwd=self.folder, input=None if given else code, text=True, encoding="utf-8",
                              stdin=subprocess.DEVNULL if given else None, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "LC_ALL": "C"})
        return done.returncode == 0, done.stdout
