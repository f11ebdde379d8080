#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tokenizer/variants.json: the golden tokenizer with other settings, and what Hugging Face's
tokenizers 0.23.3 makes of texts with them. A variant is a list of edits [found, put in its place] of tokenizer.json.

    python3 -m venv /tmp/tokenizers && /tmp/tokenizers/bin/pip install tokenizers==0.23.3
    /tmp/tokenizers/bin/python script/tokenizer_variants.py
"""

import json
import pathlib
import random
import sys

import tokenizers

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/tokenizer"
PARTS = ["cat", "cats", "concat", " ", "  ", "\n", "\t", "the", " creature", " Diameter", "Emma", "'s", "'S", "'\u017f", "1234", "\u00bd", "!", "...",
         "\u00e9", "e\u0301", "caf\u00e9", "cafe\u0301", "\ud55c", "\u1112\u1161\u11ab", "\u212b", "\u0958", "\u4e2d", "\U0001f642", "\u00a0", "\u3000", "<mask>",
         "<sep>", "<both>", "<|end_of_text|>", "_", "A\u0328\u0301", "o\u0302\u0323", "\ufb01", "\u0344"]


def token(number, content, **flags):
    return json.dumps({"id": 4096 + number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                       "normalized": False, "special": False} | flags, ensure_ascii=False)


def variants(text):
    start = text.index('"pre_tokenizer":')
    split = text[start:text.index(',"post_processor"', start)]

    def pre(prefix):
        return [split, '"pre_tokenizer":' + json.dumps({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True})]

    def added(*tokens):
        # At the end: tokenizers numbers added tokens in the order of the list, whatever their ids.
        return ['],"normalizer"', "".join("," + token for token in tokens) + '],"normalizer"']

    nfc = ['"normalizer":null', '"normalizer":{"type":"NFC"}']
    return {
        "gpt2": [pre(False)],
        "gpt2_prefix": [pre(True)],
        "merges_only": [['"ignore_merges":true', '"ignore_merges":false']],
        "nfc": [nfc],
        "nfc_normalized_token": [nfc, added(token(0, "caf\u00e9", normalized=True), token(1, "<mask>", special=True))],
        "flags": [added(token(0, "<mask>", lstrip=True, special=True), token(1, "<sep>", rstrip=True), token(2, "cat", single_word=True),
                        token(3, "cats"), token(4, "<both>", lstrip=True, rstrip=True, single_word=True))],
        "flags_gpt2_prefix": [pre(True), added(token(0, "<mask>", lstrip=True), token(1, "<sep>", rstrip=True, normalized=True))],
    }


def main():
    if tokenizers.__version__ != "0.23.3":
        sys.exit(f"tokenizer_variants.py: expected tokenizers 0.23.3, found {tokenizers.__version__}")
    text = (FOLDER / "tokenizer.json").read_text()
    draw = random.Random(3)
    result = {}
    for name, edits in variants(text).items():
        changed = text
        for found, put in edits:
            assert changed.count(found) == 1, found
            changed = changed.replace(found, put)
        tokenizer = tokenizers.Tokenizer.from_str(changed)
        texts = ["", " ", *PARTS, *("".join(draw.choices(PARTS, k=draw.randint(2, 9))) for _ in range(90))]
        cases = [{"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in texts]
        result[name] = {"edits": edits, "cases": cases}
    out = FOLDER / "variants.json"
    out.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(f"{out.name}: {len(result)} variants, {sum(len(v['cases']) for v in result.values())} cases, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
