#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays the demo corpus as .txt files into a folder, from Debian packages that are unpacked and not installed.

    script/corpus.py --out data/austen [--source auto|austen|python-doc|licenses]

austen:      the six novels of Jane Austen (public domain) from r-cran-janeaustenr, 4.0 MB
python-doc:  the sources of Python's manual from python3.11-doc
licenses:    the licence texts that every Debian has; far too little text to judge a model by
auto:        the first of these that can be had

The folder also gets corpus.json with the source, sizes and SHA-256 of the files. Where it is there and true, nothing is
done. Standard library only.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

NOVELS = {  # bytes with one newline a line
    "emma": 883028,
    "mansfieldpark": 883280,
    "northangerabbey": 433411,
    "persuasion": 466854,
    "prideprejudice": 684768,
    "sensesensibility": 673688,
}
SOURCES = ("austen", "python-doc", "licenses")


class Unavailable(Exception):
    """A source that cannot be had here; says why."""


def say(text):
    print(f"corpus: {text}", file=sys.stderr, flush=True)


class RData:
    """Reads the XDR form of R's serialization, as far as lists and vectors of lazy-load databases need it."""

    def __init__(self, data, name):
        self.data, self.at, self.name, self.references = data, 0, name, []
        if self.take(2) != b"X\n":
            raise ValueError(f"{name}: expected R's XDR serialization, which starts with 'X\\n', found {data[:2]!r}")
        version = self.integer()
        self.take(8)  # the R versions that wrote it and that can read it
        if version == 3:
            self.take(self.integer())  # the native encoding
        elif version != 2:
            raise ValueError(f"{name}: expected serialization version 2 or 3, found {version}")

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f"{self.name}: byte {self.at}: expected {count} more bytes, found {len(self.data) - self.at}")
        self.at += count
        return self.data[self.at - count:self.at]

    def integer(self):
        return struct.unpack(">i", self.take(4))[0]

    def length(self):
        count = self.integer()
        return count if count != -1 else self.integer() << 32 | self.integer() & 0xFFFFFFFF

    def vector(self, form, size):
        count = self.length()
        return list(struct.unpack(f">{count}{form}", self.take(size * count)))

    def item(self):
        """Lists with names become dicts, other vectors lists, strings text (None where missing)."""
        flags = self.integer()
        kind, attributed, tagged = flags & 0xFF, flags & 0x200, flags & 0x400
        if kind == 254:  # NILVALUE
            return None
        if kind == 255:  # REF
            return self.references[(flags >> 8 or self.integer()) - 1]
        if kind == 1:  # SYM
            symbol = self.item()
            self.references.append(symbol)
            return symbol
        if kind == 9:  # CHAR
            count = self.integer()
            return None if count == -1 else self.take(count).decode("latin-1" if flags >> 12 & 4 else "utf-8")
        if kind == 2:  # LIST, the pairs of attributes
            pairs = {}
            while kind == 2:
                if attributed:
                    self.item()
                tag = self.item() if tagged else None
                pairs[tag] = self.item()
                flags = self.integer()
                kind, attributed, tagged = flags & 0xFF, flags & 0x200, flags & 0x400
            return pairs
        if kind in (10, 13):  # LGL, INT
            value = self.vector("i", 4)
        elif kind == 14:  # REAL
            value = self.vector("d", 8)
        elif kind in (16, 19):  # STR, VEC
            value = [self.item() for _ in range(self.length())]
        else:
            raise ValueError(f"{self.name}: byte {self.at - 4}: expected a list, vector or string, found R type {kind}")
        attributes = self.item() if attributed else None
        names = (attributes or {}).get("names")
        return dict(zip(names, value)) if kind == 19 and names else value


def inflate(record, name):
    """A record of a lazy-load database: its raw size, then zlib data, or a letter and what it names."""
    size, body = struct.unpack(">I", record[:4])[0], record[4:]
    if body[:1] == b"Z":
        import lzma

        data = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}]).decompress(body[1:])
    elif body[:1] == b"2":
        import bz2

        data = bz2.decompress(body[1:])
    elif body[:1] == b"0":
        data = body[1:]
    else:
        import zlib

        data = zlib.decompress(body)
    if len(data) != size:
        raise ValueError(f"{name}: expected {size} bytes, found {len(data)}")
    return data


def lazy_load(database):
    """The objects of the files `database`.rdx and .rdb: name -> value."""
    import zlib

    index = database.with_suffix(".rdx")
    variables = RData(zlib.decompress(index.read_bytes(), 47), index.name).item()["variables"]  # 47: gzip or zlib
    data = database.with_suffix(".rdb").read_bytes()
    return {name: RData(inflate(data[start:start + length], name), name).item() for name, (start, length) in variables.items()}


def run(command, cwd=None):
    try:
        done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"{command[0]}: {lines[-1] if lines else f'exit {done.returncode}'}")


def unpack(package, folder):
    """Fetches a Debian package and unpacks it into `folder`; no root, no dependencies, nothing installed."""
    try:
        run(["apt-get", "download", package], cwd=folder)
    except Unavailable:
        # No package lists, or stale ones: fetch them into a folder of our own, which needs no root either.
        say(f"fetching package lists for {package}")
        state = folder / "apt"
        for part in ("lists/partial", "cache/archives/partial"):
            (state / part).mkdir(parents=True)
        options = ["-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache", "-o", "APT::Sandbox::User="]
        run(["apt-get", *options, "update"], cwd=folder)
        run(["apt-get", *options, "download", package], cwd=folder)
    run(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(folder / "root")])
    return folder / "root"


def austen(folder):
    root = unpack("r-cran-janeaustenr", folder)
    database = root / "usr/lib/R/site-library/janeaustenr/data/Rdata"
    novels = {name: "".join(line + "\n" for line in lines).encode() for name, lines in lazy_load(database).items()}
    found = {name: len(text) for name, text in novels.items()}
    if found != NOVELS:
        raise ValueError(f"r-cran-janeaustenr: expected the novels with sizes {NOVELS}, found {found}")
    return novels


def python_doc(folder):
    """One text for each part of the manual."""
    sources = unpack("python3.11-doc", folder) / "usr/share/doc/python3.11/html/_sources"
    parts = {}
    for file in sorted(sources.rglob("*.rst.txt")):
        parent = file.relative_to(sources).parts
        parts.setdefault(parent[0] if len(parent) > 1 else "front", []).append(file.read_bytes())
    if not parts:
        raise Unavailable(f"python3.11-doc: expected *.rst.txt below {sources.relative_to(folder)}, found none")
    return {name: b"\n".join(texts) for name, texts in parts.items()}


def licenses(_folder):
    texts = {file.name: file.read_bytes() for file in sorted(pathlib.Path("/usr/share/common-licenses").glob("*"))
             if file.is_file() and not file.is_symlink()}
    if not texts:
        raise Unavailable("/usr/share/common-licenses: expected licence texts, found none")
    return texts


def warn(source):
    if source == "licenses":
        say("WARNING: " + "-" * 60)
        say("WARNING: training on licence texts, the only text this machine has without a network.")
        say("WARNING: there is little of it and it repeats itself: do not read anything into the losses.")
        say("WARNING: --source austen tries again to fetch the novels.")
        say("WARNING: " + "-" * 60)


def current(out, wanted):
    """The source of a corpus that lies complete in `out`; none where it must be laid anew."""
    try:
        manifest = json.loads((out / "corpus.json").read_text())
        if wanted not in ("auto", manifest["source"]):
            return None
        files = manifest["files"]
        if {file.name for file in out.glob("*.txt")} != set(files):
            return None
        for name, entry in files.items():
            data = (out / name).read_bytes()
            if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
                return None
        return manifest["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def listed(out):
    """The names of the files that an earlier run laid into `out`."""
    try:
        return set(json.loads((out / "corpus.json").read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def write(out, source, texts):
    """Lays the files. The manifest names them before they are there: an interrupted run fails its checks, and the next
    one knows which files are its own."""
    out.mkdir(parents=True, exist_ok=True)
    for name in listed(out):
        (out / name).unlink(missing_ok=True)
    texts = {f"{name}.txt": data for name, data in sorted(texts.items())}
    files = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in texts.items()}
    part = out / "corpus.json.part"
    part.write_text(json.dumps({"source": source, "files": files}, indent=1) + "\n")
    os.replace(part, out / "corpus.json")
    for name, data in texts.items():
        (out / name).write_bytes(data)
    return sum(len(data) for data in texts.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("data/austen"), help="folder (default: data/austen)")
    parser.add_argument("--source", choices=("auto", *SOURCES), default="auto")
    arguments = parser.parse_args()
    out = arguments.out

    if source := current(out, arguments.source):
        warn(source)
        return 0
    foreign = sorted({file.name for file in out.glob("*.txt")} - listed(out))
    if foreign:
        say(f"{out}: expected a folder for this script alone, found {foreign[0]}, which it has not written")
        return 1

    readers = {"austen": austen, "python-doc": python_doc, "licenses": licenses}
    for source in SOURCES if arguments.source == "auto" else (arguments.source,):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="lierne-corpus-"))
        folder.chmod(0o755)  # apt's own user downloads into it
        try:
            texts = readers[source](folder)
        except (Unavailable, ValueError, OSError, StopIteration) as error:
            say(f"{source}: {error or 'the package holds no .deb'}")
            continue
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        size = write(out, source, texts)
        say(f"{out}: {len(texts)} texts from {source}, {size / 1e6:.2f} MB")
        warn(source)
        return 0
    say("no source could be had")
    return 1


if __name__ == "__main__":
    sys.exit(main())
