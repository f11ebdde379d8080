# SPDX-License-Identifier: Apache-2.0
"""Seconds of the compiler: each umbrella header, example 01, each further model in a unit, sweeps of many rules, lists of presets
and rules; against the budgets of CONTRIBUTING.md.

    script/bench compile [--json FILE] [--repeats N] [--only REGEX]

Each case is timed at -O1 (tests) and -O2 (training), with `lierne_precompile` (precompiled header and compiled bodies) and
without. `ours` is the median of the repeats, in seconds of processor time (the compiler runs on one core, and another program
beside it does not count), `peer` the budget where there is one. What a unit costs before its first own line is `nothing`.
Units with (1, 1), (4, 1), (1, 16) and (4, 16) presets and rules say what a preset and a rule cost, and what 4 x 16 should if it is
their sum: `additive` is the measured unit over that sum, against at most 1.15 (4 x 16 kinds of loop would be several).
"""
import argparse
import itertools
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "laws"))
import tree  # noqa: E402
from compiler import Compiler  # noqa: E402

LEVELS = {"-O1": "dev", "-O2": "release"}
MODELS = 5

RECORD = """
constexpr ln::Decoder model_{i}{{.layers = {layers}, .width = {width}, .vocab = 4096, .mixer = ln::Attention{{.heads = 4, .kv_heads = {kv}}},
                               .position = ln::Rope{{}}, .channel = ln::SwiGlu{{.hidden = {hidden}}}}};"""
MODEL = RECORD + """
void train_{i}(ln::Options const& options) {{
  auto rule = ln::clip_norm(1.0) | ln::adamw({{.rate = 2e-3}}) | ln::decay(0.1, ln::times_rate);
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(256) | ln::shuffle(42) | ln::batch(8);
  ln::Trainer trainer{{ln::Model<model_{i}>{{}}, ln::scheduled(rule, ln::warmup(50) | ln::cosine_to(0.05)), options}};
  trainer.fit(data);
}}
"""

# The parts that the rules of a sweep are made of; each names one stage. Every rule ends with one stage more: the one that
# applies the direction.
SWEEPS = (16, 64, 256)
BEFORE = ("", "ln::clip_norm(1.0) | ", "ln::decay(0.01, ln::coupled) | ", "ln::maximize() | ")
MOMENTA = ("ln::momentum({.beta = 0.9})", "ln::momentum<ln::Bias::kept>({.beta = 0.9})", "ln::quasi_hyperbolic({.beta = 0.9})",
           "ln::heavy_ball({.momentum = 0.9})")
NORMALISATIONS = ("ln::normalise({.beta = 0.95})", "ln::normalise<ln::Epsilon::floor>({.beta = 0.95})",
                  "ln::normalise_by_maximum({.beta = 0.95})", "ln::normalise_by_previous({.beta = 0.95})")
AFTER = ("", " | ln::decay(0.1, ln::times_rate)", " | ln::decay(0.1, ln::times_schedule)", " | ln::decay(1e-4, ln::independent)")

SWEEP = """#include <lierne/lierne.hpp>
#include <lierne/sweep/sweep.hpp>
namespace ln = lierne;
constexpr ln::Decoder base{{.layers = 2, .width = 64, .vocab = 4096, .mixer = ln::Attention{{.heads = 4}}}};
int main(int argc, char** argv) {{
  auto options = ln::SweepOptions::parse(argc, argv);
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(64) | ln::shuffle(42) | ln::batch(8);
  ln::sweep(options, ln::axis<ln::Rope{{}}, ln::NoPosition{{}}>("position"), ln::rules("rule", {{
{rules}
  }}), ln::rates({{1e-3, 2e-3, 4e-3}}), ln::seeds(3), [&](auto position, auto rule) {{
    return ln::trial(ln::Model<ln::with(base, position())>{{}}, ln::scheduled(rule, ln::warmup(20) | ln::cosine_to(0.1)), data);
  }});
}}
"""

# A program that chooses its model and its rule at launch; each rule goes through its own fused pass.
LISTS = (1, 4), (1, 16)
ADDITIVE = 1.15
PRESETS = """#include <lierne/lierne.hpp>
namespace ln = lierne;
{models}
int main(int argc, char** argv) {{
  auto const presets = ln::presets({presets});
  auto const schedule = ln::warmup(20) | ln::cosine_to(0.1);
  auto const rules = ln::rules({rules});
  auto const options = ln::Options::parse(argc, argv, presets, rules);
  auto data = ln::text(options.data, options.tokenizer) | ln::pack(256) | ln::shuffle(42) | ln::batch(8);
  ln::Trainer trainer{{presets, rules, options}};
  trainer.fit(data);
}}
"""


@dataclass
class Case:
    name: str
    code: str
    precompiled: bool
    torch: bool = True
    budget: float | None = None

    def label(self, level: str) -> str:
        return f"{self.name}, {level}, {'precompiled' if self.precompiled else 'alone'}"


def sizes(i: int) -> dict[str, int]:
    return {"i": i, "layers": 2 + i, "width": 128 * (i + 1), "kv": (1, 2, 4)[i % 3], "hidden": 256 * (i + 2)}


def models(count: int) -> str:
    text = "#include <lierne/lierne.hpp>\nnamespace ln = lierne;\n"
    for i in range(count):
        text += MODEL.format(**sizes(i))
    return text


def rule_parts(count: int) -> list[tuple[str, str, str, str]]:
    """`count` different rules: what stands before the recipe, its two stages, and what stands behind it."""
    combinations = list(itertools.product(AFTER, BEFORE, (True, False), MOMENTA, NORMALISATIONS))
    chosen = []
    for k in range(count):
        # 37 has no factor in common with their number: no combination twice, and small sweeps have something of everything.
        after, before, momentum_first, momentum, normalisation = combinations[37 * k % len(combinations)]
        chosen.append((before, *((momentum, normalisation) if momentum_first else (normalisation, momentum)), after))
    assert len(set(chosen)) == count
    return chosen


def rule_text(before: str, first: str, second: str, after: str) -> str:
    return f'{before}ln::recipe("own", 1e-3, {first} | {second}){after}'


def sweep(count: int) -> tuple[str, int]:
    """The unit of a sweep of `count` different rules, and how many different stages are in them."""
    chosen = rule_parts(count)
    lines = "\n".join(f"    {rule_text(*parts)}," for parts in chosen)
    return SWEEP.format(rules=lines), len(set(itertools.chain(*chosen)) - {""}) + 1


def presets(models: int, rules: int) -> str:
    """The unit of a program with so many presets and rules. The first ones are in every such unit."""
    records = "\n".join(RECORD.format(**sizes(i)) for i in range(models))
    names = ", ".join(f'ln::preset<model_{i}>("model-{i}")' for i in range(models))
    named = ",\n    ".join(f'ln::named("rule-{k}", ln::scheduled({rule_text(*parts)}, schedule))' for k, parts in enumerate(rule_parts(rules)))
    return PRESETS.format(models=records, presets=names, rules=named)


def lists_name(models: int, rules: int) -> str:
    return f"{models} presets and {rules} rules"


def umbrellas() -> list[Path]:
    return [h for h in tree.headers(ROOT) if h == Path("lierne.hpp") or h == Path(tree.folder(h)) / f"{tree.folder(h)}.hpp"]


def cases() -> list[Case]:
    found = [Case("nothing", "int nothing;\n", True)]
    for header in umbrellas():
        code = f"#include <lierne/{header.as_posix()}>\n"
        budget = 0.5 if header == Path("spec/spec.hpp") else None
        if tree.torch_free(ROOT, header):
            found.append(Case(header.as_posix(), code, False, torch=False, budget=budget))
        else:
            found += [Case(header.as_posix(), code, True), Case(header.as_posix(), code, False)]
    example = f'#include "{ROOT / "examples" / "01_train.cpp"}"\n'
    found += [Case("example 01", example, True, budget=6.0), Case("example 01", example, False)]
    for precompiled in (True, False):
        found += [Case("1 model in a unit", models(1), precompiled), Case(f"{MODELS} models in a unit", models(MODELS), precompiled)]
    for precompiled, count in itertools.product((True, False), SWEEPS):
        code, stages = sweep(count)
        found.append(Case(f"sweep of {count} rules of {stages} stages", code, precompiled, budget=1.0 * stages))
    for precompiled, m, r in itertools.product((True, False), *LISTS):
        found.append(Case(lists_name(m, r), presets(m, r), precompiled))
    return found


class Bench:
    def __init__(self, folder: Path):
        self.folder = folder
        self.compilers = {}
        for level, preset in LEVELS.items():
            build = ROOT / "build" / preset
            subprocess.run([ROOT / ".venv/bin/cmake", "--preset", preset], cwd=ROOT, check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, env={**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"})
            subprocess.run([ROOT / ".venv/bin/ninja", "-C", build, "--quiet", "lierne_precompiled"], check=True, stdin=subprocess.DEVNULL)
            self.compilers[level] = Compiler(build)

    def seconds(self, case: Case, level: str) -> float:
        source = self.folder / "unit.cpp"
        source.write_text(case.code)
        compiler = self.compilers[level]
        command = compiler.line(torch=case.torch, precompiled=case.precompiled) + ["-c", str(source), "-o", str(self.folder / "unit.o")]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=compiler.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise SystemExit(f"{case.name} at {level} does not compile:\n{done.stdout[-4000:]}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(name: str, seconds: float, budget: float | None) -> dict:
    shown = f"{seconds:7.2f} s" + (f"   budget {budget:g} s: {'kept' if seconds <= budget else 'EXCEEDED'}" if budget else "")
    print(f"{name:<58} {shown}", flush=True)
    return {"name": name, "ours": round(seconds, 3), "peer": budget, "peer_name": "budget" if budget else None,
            "ratio": round(budget / seconds, 3) if budget else None, "unit": "s"}


def additive(medians: dict[tuple[str, bool, str], float], level: str, precompiled: bool) -> list[dict]:
    """What a preset and a rule cost, and whether the unit with all of them costs their sum."""
    seconds = {(m, r): medians.get((lists_name(m, r), precompiled, level)) for m, r in itertools.product(*LISTS)}
    if not all(seconds.values()):
        return []
    (few, many), (one, most) = LISTS
    base, how = seconds[few, one], f"{level}, {'precompiled' if precompiled else 'alone'}"
    preset = max((seconds[many, one] - base) / (many - few), 1e-3)
    rule = max((seconds[few, most] - base) / (most - one), 1e-3)
    expected = base + (many - few) * preset + (most - one) * rule
    ratio = seconds[many, most] / expected
    print(f"{lists_name(many, most)}, {how}: {seconds[many, most]:.2f} s, the sum {base:.2f} + {many - few} x {preset:.2f} + "
          f"{most - one} x {rule:.2f} = {expected:.2f} s")
    print(f"{'additive, ' + how:<58} {ratio:7.2f}     budget {ADDITIVE:g}: {'kept' if ratio <= ADDITIVE else 'EXCEEDED'}", flush=True)
    return [row(f"each further preset, {how}", preset, 0.5), row(f"each further rule, {how}", rule, None),
            {"name": f"additive, {how}", "ours": round(ratio, 3), "peer": ADDITIVE, "peer_name": "budget",
             "ratio": round(ADDITIVE / ratio, 3), "unit": "of the sum"}]


def main() -> None:
    parser = argparse.ArgumentParser(prog="script/bench compile", description="seconds of the compiler against budgets")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", metavar="REGEX", help="only the cases whose line matches")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        medians: dict[tuple[str, bool, str], float] = {}
        for level in LEVELS:
            chosen = [case for case in cases() if re.search(given.only, case.label(level))]
            times = [[bench.seconds(case, level) for case in chosen] for _ in range(given.repeats)]  # repeats alternate
            for case, *measured in zip(chosen, *times):
                seconds = statistics.median(measured)
                medians[case.name, case.precompiled, level] = seconds
                rows.append(row(case.label(level), seconds, case.budget))
            for precompiled in (True, False):
                one, all_ = (medians.get((f"{n}", precompiled, level)) for n in ("1 model in a unit", f"{MODELS} models in a unit"))
                if one and all_:
                    how = "precompiled" if precompiled else "alone"
                    rows.append(row(f"each further model, {level}, {how}", max((all_ - one) / (MODELS - 1), 1e-3), 0.5))
            for precompiled in (True, False):
                rows += additive(medians, level, precompiled)
    if given.json:
        Path(given.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
