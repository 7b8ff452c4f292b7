#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes f64_trig_tables.h, the constants of f64_trig_inline.h, with mpmath:
make_trig_tables.py > f64_trig_tables.h
"""
from mpmath import mp, mpf

mp.prec = 2000
WORDS = 40  # of 2 / pi: the largest double needs 37


def parts(x, count):
    """x as doubles that add up to it, each the nearest to what is left."""
    values = []
    for _ in range(count):
        values.append(float(x))
        x -= mpf(values[-1])
    return "{" + ", ".join(v.hex() if v else "0" for v in values) + "}"


def main():
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by make_trig_tables.py; do not edit. */")
    print("/* clang-format off */")
    print("#ifndef MLS_BACKEND_CPU_MATH_F64_TRIG_TABLES_H")
    print("#define MLS_BACKEND_CPU_MATH_F64_TRIG_TABLES_H\n")
    print("/* pi / 2 as doubles that add up to it, and the double next to 2 / pi. */")
    print(f"static const double quarter_turn[3] = {parts(mp.pi / 2, 3)};")
    print(f"static const double quarter_inverse = {float(2 / mp.pi).hex()};")
    print("\n/* The bits of 2 / pi behind the point, the first ones first. */")
    print(f"static const uint32_t two_over_pi[{WORDS}] = {{")
    bits = int(mp.floor(2 / mp.pi * mpf(2) ** (32 * WORDS)))
    words = [bits >> 32 * (WORDS - 1 - i) & 0xFFFFFFFF for i in range(WORDS)]
    for i in range(0, WORDS, 5):
        print("    " + " ".join(f"0x{w:08x}," for w in words[i : i + 5]))
    print("};")
    print("\n/* The angle whose tangent is i / 16, and what the double lacks. */")
    print("static const double angle_table[17][2] = {")
    for i in range(17):
        print(f"    {parts(mp.atan(mpf(i) / 16), 2)},")
    print("};")
    print("\n#endif")


main()
