#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes f64_reference.h with mpmath: make_f64_reference.py > f64_reference.h; for the circular and
hyperbolic functions, make_f64_reference.py trig > f64_trig_reference.h

Each row has the arguments, the double next to the exact result, and what that lacks.
"""
import random
import sys
from mpmath import mp, mpf

mp.prec = 2200
random.seed(20240611)


def literal(x):
    return float(x).hex()


def row(arguments, value):
    high = float(value)
    numbers = [literal(a) for a in arguments] + [literal(high), f"{float(value - mpf(high)):.4g}"]
    print("    {" + ", ".join(numbers) + "},")



def normal(value):
    return mpf("2.3e-308") < abs(value) < mpf("1.79e308")


def uniform(low, high, count):
    return [random.uniform(low, high) for _ in range(count)]


def scales(low, high, count):
    """Of magnitudes 2^low to 2^high and both signs."""
    return [
        random.choice((1.0, -1.0)) * (1 + random.random()) * 2.0 ** random.randint(low, high)
        for _ in range(count)
    ]


def table(name, function, arguments):
    print(f"\nstatic const double {name}_reference[][3] = {{")
    for x in sorted(arguments):
        value = function(mpf(x))
        if normal(value):
            row([x], value)
    print("};")


def pow_table():
    print("\nstatic const double pow_reference[][4] = {")
    pairs = [(abs(x), y) for x, y in zip(scales(-60, 60, 60), uniform(-20, 20, 60))]
    pairs += list(zip(uniform(0.95, 1.05, 40), uniform(-9000, 9000, 40)))
    pairs += [(x, float(random.randint(-9, 9))) for x in uniform(-30, 30, 20)]
    pairs += [(1 + 2.0**-52, 3e17), (1 - 2.0**-53, -6e18), (1e300, 1.02), (5e-324, 0.5)]
    for x, y in pairs:
        if normal(mpf(x) ** mpf(y)):
            row([x, y], mpf(x) ** mpf(y))
    print("};")


def begin(guard):
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by make_f64_reference.py; do not edit. Arguments, result, what it lacks. */")
    print("/* clang-format off */")
    print(f"#ifndef MLS_TESTS_CPU_{guard}_H")
    print(f"#define MLS_TESTS_CPU_{guard}_H")


def trig():
    begin("F64_TRIG_REFERENCE")
    small = scales(-60, -2, 12)
    turns = [float(mp.pi / 2 * random.randint(1, 10 ** random.randint(1, 15))) for _ in range(20)]
    angles = uniform(-10, 10, 24) + scales(-26, 1000, 20) + turns + [6381956970095103.0 * 2.0**797]
    for name in ("sin", "cos", "tan"):
        table(name, getattr(mp, name), angles)
    next_to_one = [1 - 2.0 ** -random.uniform(1, 52) for _ in range(16)]
    inside = uniform(-1, 1, 36) + small + next_to_one
    table("asin", mp.asin, inside)
    table("acos", mp.acos, inside)
    table("atan", mp.atan, uniform(-3, 3, 30) + scales(-40, 70, 31))
    table("sinh", mp.sinh, uniform(-3, 3, 30) + uniform(-709, 709, 20) + small)
    table("cosh", mp.cosh, uniform(-3, 3, 30) + uniform(-709, 709, 20) + small)
    table("asinh", mp.asinh, uniform(-3, 3, 30) + scales(-40, 1000, 31))
    table("acosh", mp.acosh, uniform(1, 3, 30) + [1 + abs(x) for x in scales(-50, 52, 20)]
          + [abs(x) for x in scales(1, 1000, 12)])
    table("atanh", mp.atanh, inside)
    print("\n#endif")


def main():
    begin("F64_REFERENCE")
    small = scales(-60, -2, 16)
    table("exp", mp.exp, uniform(-708, 709.7, 44) + uniform(-1, 1, 24) + small)
    table("expm1", mp.expm1, uniform(-45, 60, 34) + uniform(-1, 1, 34) + small)
    table("log", mp.log, [abs(x) for x in scales(-1074, 1023, 34)] + uniform(0.6, 1.5, 30)
          + uniform(0.995, 1.005, 20))
    table("log1p", mp.log1p, uniform(-0.999, 3, 44) + [abs(x) for x in scales(3, 1000, 24)] + small)
    table("tanh", mp.tanh, uniform(-20, 20, 28) + uniform(-1, 1, 40) + small)
    table("sigmoid", lambda x: 1 / (1 + mp.exp(-x)), uniform(-700, 45, 40) + uniform(-3, 3, 34)
          + small)
    table("erf", mp.erf, uniform(-6, 6, 50) + uniform(-1, 1, 26) + small)
    pow_table()
    print("\n#endif")


trig() if sys.argv[1:] == ["trig"] else main()
