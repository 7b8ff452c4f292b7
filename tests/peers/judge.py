# SPDX-License-Identifier: Apache-2.0
"""Whether outputs are those expected: what compare_models.py judges by. Needs numpy alone.

Each function returns None, or a sentence that says what is wrong and where.
"""
import typing

import numpy


class Bound(typing.NamedTuple):
    """An element may be off by rtol of itself, plus floor of the output's largest, plus least.

    A share of the elements may instead be off by a step: what is rounded to a step may fall to
    either side of it.
    """
    rtol: float = 1e-4
    floor: float = 1e-5
    least: float = 0.0
    step: float = 0.0
    share: float = 0.0


def kind(got, want):
    if got.dtype != want.dtype:
        return f"elements of {got.dtype}, expected {want.dtype}"
    if got.shape != want.shape:
        return f"dims {list(got.shape)}, expected {list(want.shape)}"
    return None


def at(shape, index):
    return f"element {[int(i) for i in numpy.unravel_index(index, shape)]}"


def beyond(got, want, bound):
    """Where elements are off by more than the bound."""
    a, b = got.astype(numpy.float64), want.astype(numpy.float64)
    finite = numpy.isfinite(b)
    scale = numpy.abs(b[finite]).max(initial=0.0)
    with numpy.errstate(invalid="ignore"):
        error = numpy.abs(a - b)
        limit = bound.rtol * numpy.abs(b) + bound.floor * scale + bound.least
        same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
        wrong = ~(same | (finite & (error <= limit)))
        far = wrong & ~(finite & (error <= limit + bound.step))
    return far if wrong.sum() <= bound.share * wrong.size else wrong


def tensor(got, want, bound=Bound()):
    """Floats within the bound, all else equal; infinities and NaNs in their places."""
    fault = kind(got, want)
    if fault:
        return fault
    is_float = want.dtype.kind == "f"
    wrong = beyond(got, want, bound) if is_float else numpy.asarray(got != want)
    if not wrong.any():
        return None
    index = int(numpy.argmax(wrong))
    largest = f", the largest is {numpy.nanmax(numpy.abs(want)):g}" if is_float else ""
    return f"{at(wrong.shape, index)} is {got.flat[index]}, expected {want.flat[index]}" \
           f"{largest}; {int(wrong.sum())} of {wrong.size} differ"


def maps(got, want, labels, bound=Bound()):
    """Maps of labels, one a row: GOT is a tensor with a column for each of LABELS."""
    if got.ndim != 2 or got.shape != (len(want), len(labels)):
        return f"dims {list(got.shape)}, expected {[len(want), len(labels)]}: a row a map, " \
               "a column a label"
    for row, one in enumerate(want):
        if set(one) != set(labels):
            return f"map {row} has the labels {sorted(one)}, expected {sorted(labels)}"
    values = numpy.array([[one[label] for label in labels] for one in want], got.dtype)
    return tensor(got, values, bound)


def same_bytes(got, want):
    """The same outputs, to the byte; each a dict of tensors."""
    if set(got) != set(want):
        return f"the outputs are {sorted(got)}, expected {sorted(want)}"
    for name, value in want.items():
        fault = kind(got[name], value)
        if fault is None and got[name].tobytes() != value.tobytes():
            fault = "other bytes"
        if fault:
            return f"output '{name}': {fault}"
    return None


def rows(batch, singles):
    """The outputs of a batch are those of its rows, one after the other, to the byte.

    An output's rows lie along the one axis whose size the batch changed.
    """
    joined = {}
    for name, value in batch.items():
        parts = [single.get(name) for single in singles]
        if any(part is None for part in parts):
            return f"output '{name}': a row alone does not give it"
        axes = [axis for axis in range(value.ndim)
                if any(part.ndim != value.ndim or part.shape[axis] != value.shape[axis]
                       for part in parts)]
        if len(axes) != 1 or any(part.ndim != value.ndim for part in parts):
            return f"output '{name}': dims {list(value.shape)} for {len(parts)} rows, of which " \
                   f"one alone has {list(parts[0].shape)}"
        joined[name] = numpy.concatenate(parts, axes[0])
    return same_bytes(batch, joined)
