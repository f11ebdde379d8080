# SPDX-License-Identifier: Apache-2.0
"""Resident memory of this program. Not by getrusage, whose largest begins with what the process that started this one had."""

from __future__ import annotations


def _bytes(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def resident_bytes() -> int:
    return _bytes("VmRSS")


def peak_resident_bytes() -> int:
    return _bytes("VmHWM")
