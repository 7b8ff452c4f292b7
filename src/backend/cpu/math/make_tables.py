#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes f64_tables.h, the constants of f64_inline.h, with mpmath: make_tables.py > f64_tables.h

Polynomials interpolate at Chebyshev nodes, which is within a factor of two or three of the best
fit; their degrees leave room for that.
"""
from mpmath import mp, mpf

mp.prec = 300


def exact(x):
    """The double next to x, as a C literal."""
    return float(x).hex().replace("0x1.0000000000000p", "0x1p").replace("0x0.0p+0", "0")


def rest(x):
    """What the double next to x lacks, as a C literal."""
    return exact(x - mpf(float(x)))


def rounded(x, bits):
    """x to a multiple of 2^-bits."""
    return mp.nint(x * 2**bits) / mpf(2) ** bits


def interpolate(f, low, high, degree):
    """Coefficients, lowest first, of the polynomial that meets f at Chebyshev nodes."""
    n = degree + 1
    middle, half = (mpf(low) + high) / 2, (mpf(high) - low) / 2
    nodes = [middle + half * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    matrix = mp.matrix(n, n)
    for i, x in enumerate(nodes):
        for j in range(n):
            matrix[i, j] = x**j
    return list(mp.lu_solve(matrix, mp.matrix([f(x) for x in nodes])))


def array(name, comment, values):
    print(f"\n/* {comment} */\nstatic const double {name}[{len(values)}] = {{")
    for i in range(0, len(values), 3):
        print("    " + " ".join(exact(v) + "," for v in values[i : i + 3]))
    print("};")


def constants(name, text, value):
    high = rounded(value, 42)
    print(f"/* {text} as a multiple of 2^-42, and what that lacks. */")
    print(f"static const double {name}_high = {exact(high)};")
    print(f"static const double {name}_low = {exact(value - high)};")


def exp_table():
    print("\n/* 2^(i / 128), and what the double lacks. */")
    print("static const double exp_table[128][2] = {")
    for i in range(128):
        power = mpf(2) ** (mpf(i) / 128)
        print(f"    {{{exact(power)}, {rest(power)}}},")
    print("};")


def log_table():
    print("\n/*")
    print(" * For the i-th part of [0.6875, 1.375): the inverse of a point c in it, then log(c) as a")
    print(" * multiple of 2^-42 and what that lacks. The two parts next to 1 have c = 1.")
    print(" */")
    print("static const double log_table[128][3] = {")
    for i in range(128):
        # The parts are 2^-8 wide below 1 and 2^-7 above.
        low = mpf("0.6875") + mpf(i) / 256 if i < 80 else 1 + mpf(i - 80) / 128
        width = mpf(1) / 256 if i < 80 else mpf(1) / 128
        inverse = mpf(1) if i in (79, 80) else mpf(float(1 / (low + width / 2)))
        log_c = -mp.log(inverse)
        high = rounded(log_c, 42)
        print(f"    {{{exact(inverse)}, {exact(high)}, {exact(log_c - high)}}},")
    print("};")


def expm1_part(x):
    return (mp.expm1(x) - x) / x**2


def tanh_part(square):
    x = mp.sqrt(square)
    return (mp.tanh(x) / x - 1) / square


def erf_part(square):
    x = mp.sqrt(square)
    return mp.erf(x) / x - 1


def erfc_table():
    degree = 15
    print("\n/* erfc(x) in x - 1 - i / 2 for |x - 1 - i / 2| <= 1 / 4. */")
    print(f"static const double erfc_table[11][{degree + 1}] = {{")
    for i in range(11):
        center = 1 + mpf(i) / 2
        values = interpolate(lambda t: mp.erfc(center + t), -mpf(1) / 4, mpf(1) / 4, degree)
        print("    {")
        for j in range(0, len(values), 3):
            print("        " + " ".join(exact(v) + "," for v in values[j : j + 3]))
        print("    },")
    print("};")


def main():
    step = mp.log(2) / 128
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by make_tables.py; do not edit. */")
    print("/* clang-format off */")
    print("#ifndef MLS_BACKEND_CPU_MATH_F64_TABLES_H")
    print("#define MLS_BACKEND_CPU_MATH_F64_TABLES_H\n")
    constants("ln2", "log(2)", mp.log(2))
    constants("step", "log(2) / 128", step)
    print(f"static const double step_inverse = {exact(1 / step)};")
    exp_table()
    log_table()
    array("expm1_q", "(e^x - 1 - x) / x^2 for |x| <= 1 / 4.",
          interpolate(expm1_part, -mpf(1) / 4, mpf(1) / 4, 11))
    array("tanh_q", "(tanh(x) / x - 1) / x^2 in x^2 for |x| <= 1 / 8.",
          interpolate(tanh_part, 0, mpf(1) / 64, 6))
    array("erf_q", "erf(x) / x - 1 in x^2 for |x| <= 3 / 4.",
          interpolate(erf_part, 0, mpf(9) / 16, 11))
    erfc_table()
    print("\n#endif")


main()
