#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes utf8_tables.h: which characters have another one as their lower or upper case.

usage: make_utf8_tables.py >utf8_tables.h

From Python's copy of the Unicode Character Database. Characters whose other case is several
characters keep their own.
"""
import unicodedata


def pairs(change):
    for code in range(0x80, 0x110000):
        other = change(chr(code))
        if len(other) == 1 and ord(other) != code:
            yield code, ord(other) - code


def ranges(change):
    """Runs of one distance, of every character or of every second one."""
    runs = []
    for code, delta in pairs(change):
        if runs:
            first, last, step, run_delta = runs[-1]
            gap = code - last
            if delta == run_delta and gap <= 2 and (first == last or gap == step):
                runs[-1] = (first, code, gap, delta)
                continue
        runs.append((code, code, 1, delta))
    return runs


def write(name, change):
    print(f"static const case_range {name}[] = {{")
    for first, last, step, delta in ranges(change):
        print(f"    {{0x{first:x}, 0x{last:x}, {step}, {delta}}},")
    print("};")


print("/* SPDX-License-Identifier: Apache-2.0 */")
print(f"/* Unicode {unicodedata.unidata_version}; written by make_utf8_tables.py. */")
print("/* clang-format off */")
write("to_lower", str.lower)
print()
write("to_upper", str.upper)
print("/* clang-format on */")
