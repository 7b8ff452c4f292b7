#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real models against ONNX Runtime, and against themselves: rows, instruction sets, threads.

    compare_models.py MLSCALE DATA-FOLDER [PART-OF-NAME]

Each model below DATA-FOLDER/models, and each of ONNX's light models with drawn weights, is run by
`mlscale run` on random inputs with a fixed seed, a batch of 3 where its first dim is free. Element
by element its outputs must be those of ONNX Runtime, within the bound of judge.Bound or of BOUNDS;
the batch's rows must be the bytes that each gives alone, and these the same on every instruction
set of this machine with 1 and 2 threads. What the library refuses must be in REFUSED with its
words. `./dev models` does all of the set-up.
"""
import glob
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import numpy
import onnx
import onnxruntime

import draw
import judge
import light_models

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE = os.path.join(HERE, "../../examples/models/volatility_mlp.onnx")
BATCH = 3

# Meant to fail, with what the message says.
REFUSED = {
    "candy-style": "ImageScaler",
    "tiny_gpt2_beamsearch_contrib": "does not import an opset",
    "espcn_qonnx": "onnx.brevitas",
    "CCT2_LP/network.onnx": "not supported",
    "Transformer_Train/network.onnx": "has no meaning since opset 13",
    "CCT_2_32_32_128": "has 3 dimensions, expected 2",
}

# Other bounds than judge.Bound's own, with the reason.
BOUNDS = {
    # The model computes in 16 bits, each op rounding to 11 of them; 26 convolutions deep.
    "squeezenet1.0-fp16": judge.Bound(rtol=1e-2, floor=1e-3),
    # ONNX Runtime's sigmoid is off by some 1e-7 of 1, and 0 below -18; these are near 0.
    "ppocr-v3-det": judge.Bound(least=1e-7),
    "yunet_n_320_320": judge.Bound(least=1.5e-7),
}

# Models where few elements may be a step of quantization off: sums in float32 of 16-bit elements,
# rounded to a step, may fall to either side of it.
STEPS_OFF = {"mobilenet_edgetpu_qdq16_block": 1e-3}

# Models whose free first dim takes 1 alone: this one masks by dims of (batch, keys), which are
# taken for (queries, keys).
ONE_ROW = ("t5_random_decoder",)

# Models whose first dim is not a batch in fact: exported with the sequence first, its attention
# is between rows.
ROWS_MIX = ("vespa_sample_transformer",)


def find(table, path):
    return next((value for name, value in table.items() if name in path), None)


def message_of(tool, *arguments, isa=None):
    """What a command says on stderr, or None if it succeeds."""
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False,
                          env=dict(os.environ, MLS_ISA=isa) if isa else None)
    return (done.stderr.strip() or f"exit status {done.returncode}") if done.returncode else None


def instruction_sets(tool):
    """Those of this machine, the narrowest first, as the message for an unknown one lists them."""
    message = message_of(tool, "inspect", SAMPLE, "--plan", isa="none") or ""
    if "this machine has: " not in message:
        raise SystemExit(f"cannot tell the instruction sets of this machine from: {message}")
    return message.split("this machine has: ")[1].split(", ")


class Files:
    """Inputs as the files that `mlscale run` takes."""

    def __init__(self, folder, feeds):
        self.folder = folder
        self.options = []
        for name, value in feeds.items():
            values = [value]
            if isinstance(value, dict):
                values = [numpy.array(list(value)),
                          numpy.array(list(value.values()), numpy.float32)]
            for each in values:
                self.add(name, each)

    def add(self, name, value):
        path = os.path.join(self.folder, f"{len(self.options)}.pb")
        with open(path, "wb") as file:
            file.write(onnx.numpy_helper.from_array(value, name).SerializeToString())
        self.options += ["--input", f"{name}={path}"]


class Failed(Exception):
    """The library does not run a model that it should."""


def run_ours(tool, path, feeds, isa, threads):
    """The outputs by the names of their files."""
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        message = message_of(tool, "run", path, *Files(scratch, feeds).options, "--output-dir", out,
                             "--format", "pb", "--threads", str(threads), isa=isa)
        if message:
            raise Failed(message)
        outputs = {}
        for name in os.listdir(out):
            with open(os.path.join(out, name), "rb") as file:
                proto = onnx.TensorProto.FromString(file.read())
            outputs[os.path.splitext(name)[0]] = onnx.numpy_helper.to_array(proto)
        return outputs


def file_name(name):
    name = "_" if name.startswith(".") else name
    return "".join("_" if c in "/:\\" or c < " " else c for c in name)


def labels_of(graph, output):
    """The labels of the map that an output is: the columns of what the library gives there."""
    for node in graph.node:
        if output in node.output and node.op_type == "ZipMap":
            for attribute in node.attribute:
                values = list(attribute.ints) or [text.decode() for text in attribute.strings]
                if values:
                    return values
    raise ValueError(f"no ZipMap says the labels of the output '{output}'")


def quantization_step(graph, output):
    """One step of each DequantizeLinear whose elements are added up to an output."""
    values = {tensor.name: tensor for tensor in graph.initializer}
    node = next((node for node in graph.node if output in node.output), None)
    if node is None or node.op_type not in ("Add", "DequantizeLinear"):
        return 0.0
    if node.op_type == "Add":
        return sum(quantization_step(graph, name) for name in node.input)
    return float(onnx.numpy_helper.to_array(values[node.input[1]]).max())


def bound_of(path, graph, output):
    bound = find(BOUNDS, path) or judge.Bound()
    share = find(STEPS_OFF, path)
    if share is None:
        return bound
    return bound._replace(step=quantization_step(graph, output), share=share)


def compare_peer(path, session, graph, feeds, got):
    wanted = session.run(None, feeds)
    for output, want in zip(session.get_outputs(), wanted):
        bound = bound_of(path, graph, output.name)
        value = got.get(file_name(output.name))
        if value is None:
            return f"output '{output.name}' is not there"
        if isinstance(want, list):
            fault = judge.maps(value, want, labels_of(graph, output.name), bound)
        else:
            fault = judge.tensor(value, numpy.asarray(want), bound)
        if fault:
            return f"output '{output.name}': {fault}"
    return None


def check_refused(tool, path, words):
    message = message_of(tool, "bench", path, "--seconds", "0.01")
    if message is None:
        return "it runs: take it from REFUSED"
    return None if words in message else f"the message '{message[:200]}' lacks '{words}'"


def check_sets(tool, path, feeds, sets, want):
    for isa in sets:
        for threads in (1, 2):
            fault = judge.same_bytes(run_ours(tool, path, feeds, isa, threads), want)
            if fault:
                return f"{isa}, {threads} threads: {fault}"
    return None


def check_model(tool, path, sets):
    folder, name = os.path.split(path)
    model = name if name not in ("model.onnx", "network.onnx", "mnist.onnx") \
        else os.path.basename(folder)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    graph = onnx.load(path, load_external_data=False).graph
    rows = 1 if any(name in path for name in ONE_ROW) else BATCH
    feeds, axes = draw.draw(model.removesuffix(".onnx"), session.get_inputs(), graph,
                            numpy.random.default_rng(1), rows)
    got = run_ours(tool, path, feeds, sets[-1], 2)
    fault = compare_peer(path, session, graph, feeds, got)
    if fault:
        return fault
    is_batch = rows > 1 and any(axis is not None for axis in axes.values())
    if not is_batch or any(name in path for name in ROWS_MIX):
        return check_sets(tool, path, feeds, sets, got)
    singles = [draw.row(feeds, axes, index) for index in range(rows)]
    alone = [run_ours(tool, path, single, sets[-1], 1) for single in singles]
    fault = judge.rows(got, alone)
    if fault:
        return f"a batch of {rows} against its rows: {fault}"
    return check_sets(tool, path, singles[0], sets, alone[0])


def check(tool, path, sets):
    """What is wrong, or None."""
    words = find(REFUSED, path)
    try:
        return check_refused(tool, path, words) if words else check_model(tool, path, sets)
    except Exception as error:  # pylint: disable=broad-except # the other models are still to do
        return f"{type(error).__name__}: {str(error)[:300]}"


def main():
    tool, data = sys.argv[1:3]
    part = sys.argv[3] if len(sys.argv) > 3 else ""
    onnxruntime.set_default_logger_severity(4)
    sets = instruction_sets(tool)
    print("instruction sets:", ", ".join(sets))
    faults = []

    def report(name, fault):
        faults.append(fault)
        print("ok  " if fault is None else "FAIL", name, fault or "", flush=True)

    models = os.path.join(data, "models")
    for path in sorted(glob.glob(models + "/**/*.onnx", recursive=True)):
        if part in path:
            report(os.path.relpath(path, models), check(tool, path, sets))
    # The portable set takes minutes for networks of this size; real models of their kinds do it.
    wide = [isa for isa in sets if isa != "portable"] or sets
    with tempfile.TemporaryDirectory() as scratch:
        for path in light_models.unpack(data, scratch):
            if part in path:
                light_models.with_weights(path)
                report("light/" + os.path.basename(path), check(tool, path, wide))
            os.remove(path)
    failed = sum(fault is not None for fault in faults)
    print(f"{len(faults) - failed} passed, {failed} failed")
    return 1 if failed or not faults else 0


if __name__ == "__main__":
    sys.exit(main())
