#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bare_root.sh WORK [COMMAND...]: in a Debian 12 that has git, bash, python3 and nothing else, clone this checkout's HEAD and
# run a command there (default: script/train --steps 20, twice, held to the times that the project promises: set-up and
# build in 360 s, the second run's first step finished 2 s after its process started). Exit 77: it cannot run here.
#
# Needs root, debootstrap and the network. Name resolution, certificates, and the settings of apt and pip are copied from
# this machine, for a bare root knows no proxy or mirror. WORK is made if it is missing; its root is kept for another run
# when WORK/root is there already.
set -euo pipefail
work=$(realpath -m "$1")
shift
if ((EUID != 0)) || ! command -v debootstrap >/dev/null; then
  echo "bare_root: needs root and debootstrap" >&2
  exit 77
fi
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
root=$work/root

if [[ ! -x $root/usr/bin/git ]]; then
  mkdir -p "$work"
  rm -rf "$root"
  debootstrap --variant=minbase --include=ca-certificates,git,python3 bookworm "$root" >"$work/debootstrap.log" 2>&1 ||
    { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
fi
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
  [[ ! -e $file ]] || install -D -m 644 "$(realpath "$file")" "$root$file"
done
mkdir -p "$root/etc/apt/apt.conf.d"
apt-config dump | grep -iE '^Acquire::.*(proxy|verify|cainfo)' >"$root/etc/apt/apt.conf.d/90host" || true

# apt and pip need these inside; all are gone again however the script ends.
mounted=()
finish() { for ((i = ${#mounted[@]} - 1; i >= 0; --i)); do umount "${mounted[i]}"; done; }
trap finish EXIT
mount_in() { mount "${@:2}" "$root$1" && mounted+=("$root$1"); }
mount_in /proc -t proc proc
mount_in /dev --bind /dev

rm -rf "$root/lierne"
git clone --quiet --no-hardlinks "$source" "$root/lierne"
inside() { chroot "$root" /bin/bash -c 'cd /lierne && exec "$@"' bash "$@" </dev/null; }

if (($#)); then
  inside "$@"
  exit
fi

for tool in g++ cc make cmake ninja pip3; do
  if inside bash -c "command -v $tool" >/dev/null; then
    echo "bare_root: the root is not bare: it has $tool" >&2
    exit 1
  fi
done
seconds() { date +%s.%N; }
start=$(seconds)
inside script/setup --for train
inside script/train --steps 1 --sample 0 --help >/dev/null # builds; the program itself ends at once
built=$(seconds)
inside script/train --steps 20 | tee "$work/first.log"
first=$(seconds)
inside script/train --steps 20 --out /tmp/second >"$work/second.log"
tail -n 5 "$work/second.log"
elapsed=$(head -n 1 "$root/tmp/second/metrics.jsonl" | sed 's/.*"elapsed":\([0-9.]*\).*/\1/')
awk -v a="$start" -v b="$built" -v c="$first" -v e="$elapsed" 'BEGIN {
  printf "bare_root: set-up and build %.0f s (at most 360), first training %.0f s, ", b - a, c - b
  printf "a second run finishes its first step after %.2f s (at most 2)\n", e
  exit b - a > 360 || e > 2 }'
