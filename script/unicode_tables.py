#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes include/lierne/data/unicode_tables.hpp, what the tokenizer asks of a code point, and composition_tables.hpp,
what normalisation asks, both from Unicode 16.

Python's own unicodedata follows the interpreter; the tables come from the package unicodedata2 at its version 16.0.0:

    python3 -m venv /tmp/unicode && /tmp/unicode/bin/pip install unicodedata2==16.0.0
    /tmp/unicode/bin/python script/unicode_tables.py
"""

import pathlib
import sys

import unicodedata2 as unicode

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "include/lierne/data"
BLOCK = 128  # code points a block: fewer, and the number of a block needs more than a byte
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
# Other_Alphabetic that is neither a letter, a mark nor a number: circled and squared Latin letters.
ALPHABETIC_SYMBOLS = {*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A)}


def kind(code):
    category = unicode.category(chr(code))
    if code in SPACES:
        return 4
    if category[0] == "L":
        return 1
    if category in ("Nd", "Nl"):
        return 2
    if category == "No":
        return 3
    if category[0] == "M" or category == "Pc" or code in (0x200C, 0x200D) or code in ALPHABETIC_SYMBOLS:
        return 5
    return 0


def wrap(values, width=120):
    lines, line = [], " "
    for value in values:
        if len(line) + len(value) + 2 > width:
            lines.append(line)
            line = " "
        line += f" {value},"
    return "\n".join([*lines, line])


def write(name, text):
    (FOLDER / name).write_text(text)
    print(f"{name}: {len(text.splitlines())} lines")


def classes():
    kinds = [kind(code) for code in range(0x110000)]
    end = max(code for code in range(0xE0000) if kinds[code]) + 1
    end = -(-end // BLOCK) * BLOCK
    blocks, index = {}, []
    for start in range(0, end, BLOCK):
        block = tuple(kinds[start:start + BLOCK])
        index.append(blocks.setdefault(block, len(blocks)))
    assert len(blocks) < 256
    words = []
    for block in blocks:
        for start in range(0, BLOCK, 16):
            words.append(f"0x{sum(value << 4 * i for i, value in enumerate(block[start:start + 16])):x}")
    # Above the tables only the variation selectors say anything: they are marks.
    marks = [code for code in range(end, 0x110000) if kinds[code]]
    assert marks == list(range(0xE0100, 0xE01F0)) and all(kinds[code] == 5 for code in marks)
    write("unicode_tables.hpp", f"""// SPDX-License-Identifier: Apache-2.0
// The class of every code point of Unicode 16 in two levels; written by script/unicode_tables.py.
#pragma once

#include <array>
#include <cstdint>

namespace lierne::detail {{

/// Code points a block; the first code point without a block (above it, all but the variation selectors are `other`).
inline constexpr std::uint32_t unicode_block = {BLOCK}, unicode_end = 0x{end:x};

/// The number of the block of each {BLOCK} code points.
inline constexpr std::array<std::uint8_t, {len(index)}> unicode_index{{
{wrap([str(i) for i in index])}
}};

/// Four bits a code point (CodeClass), the lowest first, {BLOCK // 16} words a block.
inline constexpr std::array<std::uint64_t, {len(words)}> unicode_classes{{
{wrap(words)}
}};

}}  // namespace lierne::detail
""")


def runs(items, joins):
    """Neighbours that `joins` says belong together, as lists."""
    result = []
    for item in items:
        if result and joins(result[-1][-1], item):
            result[-1].append(item)
        else:
            result.append([item])
    return result


def compositions():
    codes = range(0x110000)
    parts = {code: [int(part, 16) for part in unicode.decomposition(chr(code)).split()]
             for code in codes if unicode.decomposition(chr(code)) and unicode.decomposition(chr(code))[0] != "<"}
    excluded = [code for code, pair in parts.items() if len(pair) == 2 and unicode.normalize("NFC", chr(code)) != chr(code)]
    marks = [(code, unicode.combining(chr(code))) for code in codes if unicode.combining(chr(code))]
    part_runs = runs(sorted(parts), lambda a, b: b == a + 1)
    mark_runs = runs(marks, lambda a, b: b == (a[0] + 1, a[1]))
    write("composition_tables.hpp", f"""// SPDX-License-Identifier: Apache-2.0
// Canonical decompositions and combining classes of Unicode 16; written by script/unicode_tables.py.
#pragma once

#include <array>
#include <cstdint>

namespace lierne::detail {{

/// Code points that have a decomposition: first of a run, length of the run.
inline constexpr std::array<std::uint32_t, {2 * len(part_runs)}> decomposed_runs{{
{wrap([f"0x{run[0]:x}, {len(run)}" for run in part_runs])}
}};

/// The two parts of each of them in order; the second is 0 where there is one only.
inline constexpr std::array<std::uint32_t, {2 * len(parts)}> decomposed_parts{{
{wrap([f"0x{x:x}" if x else "0" for code in sorted(parts) for x in (parts[code] + [0])[:2]])}
}};

/// Code points of two parts that no composition makes.
inline constexpr std::array<std::uint32_t, {len(excluded)}> composition_excluded{{
{wrap([f"0x{code:x}" for code in excluded])}
}};

/// Code points with a combining class above 0: first of a run, length of the run, class.
inline constexpr std::array<std::uint32_t, {3 * len(mark_runs)}> combining_runs{{
{wrap([f"0x{run[0][0]:x}, {len(run)}, {run[0][1]}" for run in mark_runs])}
}};

}}  // namespace lierne::detail
""")


def main():
    if unicode.unidata_version != "16.0.0":
        sys.exit(f"unicode_tables.py: expected Unicode 16.0.0, found {unicode.unidata_version}")
    classes()
    compositions()


if __name__ == "__main__":
    main()
