# SPDX-License-Identifier: Apache-2.0
"""Time to equal loss: lierne against nanoGPT's character-level recipe for a CPU in Python PyTorch.

    script/bench quality_chars [--json FILE] [--rounds 3] [--threads N] [--data DIR] [--steps S] [--peer-steps 2000] [--time 60]

The text is that of all .txt files of DIR (default: the novels), laid end to end. A character is a byte (in the novels one
character, a pound sign, lies outside ASCII), its id the place of its value among those that occur; the first nine tenths are
trained on, the last is held out. `bench_quality_chars --ids` writes the ids by lierne's tokenizer and split, and both sides
train on them; both are judged by all held-out windows of 64 characters, laid one after the other.

Before the rounds the peer (`peers/nanogpt.py`) takes --time steps in four forms, eager and compiled, in float32 and under bf16
autocast; the fastest one is what lierne is held against. A round runs, each in a process of its own,
    the peer          2,000 steps of its recipe,
    lierne            its own recipe of S steps (default: the one that `bench_quality_chars` says),
    lierne, the same  the peer's recipe, in the first round alone: GPT-2's feed-forward and norm, tied, AdamW by the same
                      schedule and in the same precision; Rope in place of learned positions.
Seconds are those of the training loop: batches, forward, backward and update; validation, compilation and the reading of the
text are left out on both sides. Reported are medians over rounds, of the same recipe the first round. The peer's lowest final
loss of all rounds is what lierne must reach at the end of each of its runs: otherwise the exit status is 1.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import statistics
import tempfile

from shared.report import HERE, PEERS, Report, run_ours, run_peer

NOVELS = os.path.join(os.path.dirname(HERE), "data", "austen")
FORMS = [(mode, precision) for mode in PEERS for precision in ("fp32", "bf16")]


def byte_characters() -> list[str]:
    """How byte-level BPE writes each byte: printable ones as themselves, the others from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(256 + moved.index(byte)) for byte in range(256)]


def write_text(data: str, folder: str) -> None:
    """The text as one file, and the tokenizer.json whose tokens are its bytes, those that occur before the others."""
    paths = sorted(glob.glob(os.path.join(data, "*.txt")))
    if not paths:
        raise SystemExit(f"{data}: expected .txt files, found none")
    text = bytearray()
    for path in paths:
        with open(path, "rb") as file:
            text += file.read()
    with open(os.path.join(folder, "text.txt"), "wb") as file:
        file.write(text)
    seen = set(text)
    names = byte_characters()
    order = sorted(range(256), key=lambda byte: (byte not in seen, byte))
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    tokenizer = {"pre_tokenizer": level, "decoder": level,
                 "model": {"type": "BPE", "vocab": {names[byte]: i for i, byte in enumerate(order)}, "merges": []}}
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="also write the cases to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--data", default=NOVELS)
    parser.add_argument("--steps", type=int, help="of lierne's own recipe")
    parser.add_argument("--peer-steps", type=int, default=2000, help="fewer for a trial: another target, by the schedule over as many")
    parser.add_argument("--time", type=int, default=60, help="steps by which the peer's form is chosen")
    options = parser.parse_args()
    report = Report()
    reached = compare(report, options.rounds, options.threads, options.data, options.steps, options.peer_steps, options.time)
    report.write(options.json)
    raise SystemExit(not reached)


def compare(report: Report, rounds: int, threads: int, data: str = NOVELS, steps: int | None = None, peer_steps: int = 2000,
            timed: int = 60) -> bool:
    """Runs both sides and reports them; whether each of lierne's runs reached the peer's lowest loss."""
    with tempfile.TemporaryDirectory() as folder:
        write_text(data, folder)
        ours = ["--data", os.path.join(folder, "text.txt"), "--tokenizer", os.path.join(folder, "tokenizer.json"),
                "--threads", str(threads)]
        run_ours("quality_chars", [*ours, "--ids", folder])
        peer = ["--ids", folder, "--threads", str(threads)]

        forms = {}
        for mode, precision in FORMS:
            form = ["--mode", mode, "--precision", precision]
            forms[mode, precision] = run_peer("nanogpt", [*peer, *form, "--time", str(timed)])["step_seconds"]
            print(f"the peer, {PEERS[mode]} {precision}: {1000 * forms[mode, precision]:.1f} ms a step", flush=True)
        mode, precision = min(forms, key=forms.get)

        mine = ["--steps", str(steps)] if steps else []
        theirs = ["--steps", str(peer_steps)]
        runs: dict[str, list[dict]] = {"own": [], "peer": [], "same": []}
        for seed in range(1, rounds + 1):
            seeded = ["--seed", str(seed)]
            runs["own"].append(run_ours("quality_chars", [*ours, *seeded, *mine]))
            runs["peer"].append(run_peer("nanogpt", [*peer, *seeded, *theirs, "--mode", mode, "--precision", precision]))
            if seed == 1:
                runs["same"].append(run_ours("quality_chars", [*ours, *seeded, *theirs, "--recipe", "same", "--precision", precision]))
            for who, done in runs.items():
                if len(done) == seed:
                    print(f"round {seed}: {who}: {done[-1]['steps']} steps, {done[-1]['seconds']:.2f} s, "
                          f"{done[-1]['held_out_loss']:.4f} nats a character", flush=True)

    counts = {done["held_out_characters"] for each in runs.values() for done in each}
    if len(counts) != 1:
        raise SystemExit(f"held-out characters: expected one number in all runs, found {sorted(counts)}")

    def middle(who: str, key: str) -> float:
        return statistics.median(done[key] for done in runs[who])

    label = f"{PEERS[mode]} {precision}"
    for what, key, unit in (("time to equal loss", "seconds", "s"), ("held-out loss", "held_out_loss", "nats/character"),
                            ("step", "step_seconds", "s"), ("parameters", "parameters", "parameters")):
        report.add(f"quality/nanogpt/{what}", middle("own", key), middle("peer", key), label, unit)
    for what, key, unit in (("time", "seconds", "s"), ("held-out loss", "held_out_loss", "nats/character")):
        report.add(f"quality/nanogpt/same recipe {what}", runs["same"][0][key], runs["peer"][0][key], label, unit)
    print("lierne's own recipe: " + runs["own"][0]["means"])
    target, worst = min(done["held_out_loss"] for done in runs["peer"]), max(done["held_out_loss"] for done in runs["own"])
    part = middle("own", "seconds") / middle("peer", "seconds")
    print(f"{part:.3f} of the peer's time (aim: 0.5); lierne's highest loss {worst:.4f}, the peer's lowest {target:.4f} "
          f"(reached: {'yes' if worst <= target else 'NO'})")
    return worst <= target


if __name__ == "__main__":
    main()
