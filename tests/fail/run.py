# SPDX-License-Identifier: Apache-2.0
"""run.py CASE ROOT BUILD: a mistake must be refused with our words, and its correction must compile.

A case is a .cpp file that begins with `// expect: <regex>` (after the SPDX line). Without -DFIXED the first line of the
compiler's output that holds 'error:' must match the regex; with -DFIXED the same file must compile, so that a case cannot
pass because of some other fault in it.
"""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "laws"))
import tree  # noqa: E402
from compiler import Compiler  # noqa: E402


def expectation(case: Path) -> str:
    for line in case.read_text(encoding="utf-8").splitlines()[:3]:
        if found := re.match(r"// expect: (.+)", line):
            return found[1].strip()
    raise SystemExit(f"{case}: none of the first three lines is '// expect: <regex>'")


def reaches_torch(root: Path, case: Path) -> bool:
    ours = [Path(name).relative_to("lierne") for name in tree.includes(case) if name.startswith("lierne/")]
    return any(not tree.torch_free(root, header) for header in ours)


def judge(case: Path, root: Path, compiler: Compiler) -> str:
    """'' when the case holds, otherwise what is wrong."""
    wanted = expectation(case)
    torch = reaches_torch(root, case)
    kind = {"torch": torch, "precompiled": torch}
    if "FIXED" not in case.read_text(encoding="utf-8"):
        return f"{case.name} has no branch for -DFIXED"
    good, output = compiler.check_syntax(case, **kind)
    if good:
        return f"{case.name} compiles; expected an error that matches: {wanted}"
    first = next((line for line in output.splitlines() if "error:" in line), "")
    if not re.search(wanted, first):
        return f"the first error of {case.name} is\n  {first}\nexpected a match of\n  {wanted}\nall of it:\n{output}"
    good, output = compiler.check_syntax(case, "-DFIXED", **kind)
    if not good:
        return f"{case.name} does not compile with -DFIXED either:\n{output}"
    print(first.split("error:", 1)[1].strip())
    return ""


def main() -> int:
    case, root, build = map(Path, sys.argv[1:4])
    said = judge(case, root, Compiler(build))
    if said:
        print(said)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
