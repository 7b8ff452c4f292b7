# SPDX-License-Identifier: Apache-2.0
"""What compare_models.py judges by, judged: each kind of wrong output is found, right ones pass.

Prints TAP. Needs numpy alone.
"""
import sys

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import numpy

import judge

F32 = numpy.float32
SMALL_AND_LARGE = numpy.array([[1e-3, 1.0], [0.5, 100.0]], F32)


def changed(index, factor):
    out = SMALL_AND_LARGE.copy()
    out[index] *= F32(factor)
    return out


def array(*values, dtype=F32):
    return numpy.array(values, dtype)


STEP = judge.Bound(step=0.5, share=0.25)
WANT_MAPS = [{"a": 0.25, "b": 0.75}, {"a": 1.0, "b": 0.0}]
MAPS = array([0.25, 0.75], [1.0, 0.0])
ROWS = [{"y": array([1.0, 2.0])}, {"y": array([3.0, 4.0])}]
BATCH = array([1.0, 2.0], [3.0, 4.0])
NEGATIVE_ZERO = {"y": array(-0.0)}

# What is judged, what is said of it, and a part of the sentence that says what is wrong.
CASES = [
    ("equal", judge.tensor(SMALL_AND_LARGE, SMALL_AND_LARGE), None),
    ("a rounding off", judge.tensor(changed((1, 1), 1 + 5e-5), SMALL_AND_LARGE), None),
    ("2e-3 of the largest",
     judge.tensor(changed((1, 1), 1.002), SMALL_AND_LARGE), "element [1, 1]"),
    ("a small element of many times its size",
     judge.tensor(changed((0, 0), 5), SMALL_AND_LARGE), "element [0, 0]"),
    ("1e-2 of an element that is 1e-2 of the largest",
     judge.tensor(changed((0, 1), 1.01), SMALL_AND_LARGE), "element [0, 1]"),
    ("another element type", judge.tensor(array(1.0, dtype="f8"), array(1.0)), "float64"),
    ("a missing row", judge.tensor(SMALL_AND_LARGE[:1], SMALL_AND_LARGE), "dims [1, 2]"),
    ("nothing where nothing is expected", judge.tensor(array(), array()), None),
    ("another label",
     judge.tensor(array(1, 2, dtype="i8"), array(1, 3, dtype="i8")), "element [1]"),
    ("another string", judge.tensor(array("a", dtype=object), array("b", dtype=object)), "element"),
    ("NaN for NaN", judge.tensor(array(numpy.nan, 1.0), array(numpy.nan, 1.0)), None),
    ("NaN for a number", judge.tensor(array(numpy.nan, 1.0), array(0.0, 1.0)), "is nan"),
    ("a number for NaN", judge.tensor(array(0.0, 1.0), array(numpy.nan, 1.0)), "expected nan"),
    ("infinity for infinity", judge.tensor(array(numpy.inf, 1.0), array(numpy.inf, 1.0)), None),
    ("a number for infinity", judge.tensor(array(3e38, 1.0), array(numpy.inf, 1.0)), "element [0]"),
    ("infinity for a number", judge.tensor(array(numpy.inf, 1.0), array(1.0, 1.0)), "is inf"),
    ("the other infinity", judge.tensor(array(-numpy.inf), array(numpy.inf)), "is -inf"),
    ("a step off, of few", judge.tensor(array(1, 2, 3, 4.5), array(1, 2, 3, 4), STEP), None),
    ("a step off, of many", judge.tensor(array(1, 2, 3.5, 4.5), array(1, 2, 3, 4), STEP), "2 of 4"),
    ("two steps off", judge.tensor(array(1, 2, 3, 5), array(1, 2, 3, 4), STEP), "element [3]"),
    ("a step off where none may be", judge.tensor(array(1, 4.5), array(1, 4)), "element [1]"),
    ("equal maps", judge.maps(MAPS, WANT_MAPS, ["a", "b"]), None),
    ("labels in another order", judge.maps(MAPS, WANT_MAPS, ["b", "a"]), "element [0, 0]"),
    ("a map of other values", judge.maps(MAPS, [{"a": 0.25, "b": 0.5}] * 2, ["a", "b"]), "element"),
    ("a map of other labels", judge.maps(MAPS, [{"a": 0.2, "c": 0.7}] * 2, ["a", "b"]), "labels"),
    ("a map too few", judge.maps(MAPS[:1], WANT_MAPS, ["a", "b"]), "dims [1, 2]"),
    ("a label too few", judge.maps(MAPS, WANT_MAPS, ["a"]), "dims [2, 2]"),
    ("the same bytes", judge.same_bytes(ROWS[0], ROWS[0]), None),
    ("the sign of zero", judge.same_bytes({"y": array(0.0)}, NEGATIVE_ZERO), "other bytes"),
    ("an output that is not there", judge.same_bytes({}, ROWS[0]), "the outputs are []"),
    ("rows of a batch", judge.rows({"y": BATCH.reshape(2, 2)}, [
        {"y": row["y"].reshape(1, 2)} for row in ROWS]), None),
    ("rows along the second axis", judge.rows({"y": BATCH.T.copy()}, [
        {"y": row["y"].reshape(2, 1)} for row in ROWS]), None),
    ("rows in another order", judge.rows({"y": BATCH}, [
        {"y": row["y"].reshape(1, 2)} for row in reversed(ROWS)]), "other bytes"),
    ("a row that the batch lacks", judge.rows({"y": BATCH}, [
        {"y": row["y"].reshape(1, 2)} for row in ROWS + ROWS[:1]]), "dims"),
    ("a batch of one row's size", judge.rows(ROWS[0], ROWS), "dims"),
    ("an output of a row alone", judge.rows({"y": BATCH}, [{}, {}]), "does not give it"),
]


def main():
    failed = 0
    print(f"1..{len(CASES)}")
    for number, (name, said, words) in enumerate(CASES, 1):
        is_right = said is None if words is None else said is not None and words in said
        failed += not is_right
        print("ok" if is_right else "not ok", number, "-", name)
        if not is_right:
            print(f"# it says '{said}', expected '{words}'")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
