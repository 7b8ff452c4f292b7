#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real models against ONNX Runtime, and against themselves on every instruction set.

    compare_models.py MLSCALE MODELS-FOLDER

Each model is run by `mlscale run` on random inputs with a fixed seed. Its outputs must be those of
ONNX Runtime (relative to the largest element: 1e-4 for float32, 1e-2 for 16 bits; quantized models
and labels by their ranking), and the same bytes on every instruction set with 1 and 2 threads.
Models that neither can run must fail with a message. `./dev models` does all of the set-up.
"""
import glob
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime

SETS = ["portable", "avx2", "avx2vnni", "avx512", "avx512vnni"]

# Dims that the models do not say, where 1 for the first and 8 for the rest will not do.
DIMS = {
    "ppocr-v3-det": {"x": [1, 3, 96, 96]},
    "silero_vad": {"input": [1, 512], "state": [2, 1, 128], "sr": []},
    "attention_past_u8s8": {"weight_scale": [1], "weight_zero_point": [1]},
}
VALUES = {"silero_vad": {"sr": 16000}}

# Meant to fail, with what the message says.
REFUSED = {
    "candy-style": "ImageScaler",
    "tiny_gpt2_beamsearch_contrib": "does not import an opset",
    "espcn_qonnx": "onnx.brevitas",
    "pipeline_vectorize": "is a map",
    "CCT2_LP/network.onnx": "not supported",
    "Transformer_Train/network.onnx": "not supported",
    "CCT_2_32_32_128": "has 3 dimensions, expected 2",
}

DTYPES = {
    "tensor(float)": numpy.float32,
    "tensor(float16)": numpy.float16,
    "tensor(double)": numpy.float64,
    "tensor(int64)": numpy.int64,
    "tensor(int32)": numpy.int32,
    "tensor(uint8)": numpy.uint8,
    "tensor(int8)": numpy.int8,
    "tensor(bool)": numpy.bool_,
}


def make_input(model, given, random):
    known = DIMS.get(model, {}).get(given.name)
    dims = known if known is not None else [
        size if isinstance(size, int) and size > 0 else (1 if axis == 0 else 8)
        for axis, size in enumerate(given.shape or [])
    ]
    dtype = DTYPES.get(given.type)
    if given.type == "tensor(string)":
        return numpy.full(dims, "abc", dtype=object)
    if given.name in VALUES.get(model, {}):
        return numpy.full(dims, VALUES[model][given.name], dtype=dtype)
    if numpy.issubdtype(dtype, numpy.floating):
        return random.standard_normal(dims).astype(dtype)
    return random.integers(0, 2, dims).astype(dtype)


def run_ours(tool, path, files, isa, threads):
    """The outputs as bytes by file, or the message."""
    with tempfile.TemporaryDirectory() as out:
        command = [tool, "run", path, "--output-dir", out, "--format", "pb", "--threads", threads]
        for name, file in files:
            command += ["--input", f"{name}={file}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env=dict(os.environ, MLS_ISA=isa))
        if done.returncode:
            return done.stderr.strip()
        return {os.path.splitext(name)[0]: open(os.path.join(out, name), "rb").read()
                for name in sorted(os.listdir(out))}


def same_ranking(got, want):
    return numpy.array_equal(got.argmax(-1), want.argmax(-1))


def compare(got, want, is_quantized):
    if got.shape != want.shape:
        return f"dims {got.shape}, expected {want.shape}"
    if want.dtype.kind not in "f" or want.size == 0:
        return None if numpy.array_equal(got, want) else "elements differ"
    if is_quantized:
        return None if same_ranking(got, want) else "the ranking differs"
    scale = numpy.abs(want.astype(numpy.float64)).max() + 1e-2
    error = numpy.abs(got.astype(numpy.float64) - want).max() / scale
    limit = 1e-2 if want.dtype == numpy.float16 else 1e-4
    return None if error <= limit else f"error {error:.2g}"


def file_name(name):
    name = "_" if name.startswith(".") else name
    return "".join("_" if c in "/:\\" or c < " " else c for c in name)


def check_refused(tool, path, word):
    message = ""
    for command in (["bench", path, "--seconds", "0.01"], ["inspect", path]):
        done = subprocess.run([tool] + command, capture_output=True, text=True, check=False)
        message += done.stdout + done.stderr
    return None if word in message else f"the message '{message[:200]}' lacks '{word}'"


def check_model(tool, path, folder):
    model = os.path.splitext(os.path.relpath(path, folder))[0].split("/")[1]
    random = numpy.random.default_rng(1)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {given.name: make_input(model, given, random) for given in session.get_inputs()}
    try:
        wanted = session.run(None, feeds)
    except Exception:  # pylint: disable=broad-except # the peer's own limits: run ours alone
        wanted = None
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for index, (name, value) in enumerate(feeds.items()):
            files.append((name, os.path.join(scratch, f"{index}.pb")))
            with open(files[-1][1], "wb") as file:
                file.write(onnx.numpy_helper.from_array(value, name).SerializeToString())
        first = run_ours(tool, path, files, SETS[0], "1")
        if isinstance(first, str):
            return None if wanted is None else first
        for isa in SETS:
            for threads in "12":
                if run_ours(tool, path, files, isa, threads) != first:
                    return f"other bytes with {isa} and {threads} threads"
    is_quantized = "qdq" in path or "quant/" in path
    for output, want in zip(session.get_outputs(), wanted or []):
        if isinstance(want, list):
            continue  # maps of labels, which are tensors here
        tensor = onnx.TensorProto.FromString(first[file_name(output.name)])
        fault = compare(onnx.numpy_helper.to_array(tensor), numpy.asarray(want), is_quantized)
        if fault:
            return f"output '{output.name}': {fault}"
    return None


def main():
    tool, folder = sys.argv[1:3]
    onnxruntime.set_default_logger_severity(4)
    failed = 0
    paths = sorted(glob.glob(folder + "/**/*.onnx", recursive=True))
    for path in paths:
        word = next((word for name, word in REFUSED.items() if name in path), None)
        try:
            fault = check_refused(tool, path, word) if word else check_model(tool, path, folder)
        except Exception as error:  # pylint: disable=broad-except
            fault = f"{type(error).__name__}: {str(error)[:200]}"
        failed += fault is not None
        print("ok  " if fault is None else "FAIL", os.path.relpath(path, folder), fault or "")
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
