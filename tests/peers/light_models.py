# SPDX-License-Identifier: Apache-2.0
"""ONNX's light models with weights: the shapes of well-known networks, their constants drawn.

A light model makes its weights by ConstantOfShape, so that nearly all elements of its output are
equal. Here each of those nodes, and each float initializer whose elements are all equal, becomes an
initializer of drawn numbers, as large as keeps a network's signals alive.
"""
import glob
import math
import os
import subprocess
import tarfile

import numpy
import onnx
import onnxruntime


def unpack(data, folder):
    """The light models of the newest ONNX backend data below DATA; their paths."""
    archives = sorted(glob.glob(os.path.join(data, "onnx", "onnx-backend-data-*.tar.zst")))
    if not archives:
        return []
    with subprocess.Popen(["zstd", "-qdc", "--long=26", archives[-1]],
                          stdout=subprocess.PIPE) as unzip:
        with tarfile.open(fileobj=unzip.stdout, mode="r|") as archive:
            for member in archive:
                name = os.path.basename(member.name)
                if name.startswith("light_") and name.endswith(".onnx") and member.isfile():
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(archive.extractfile(member).read())
    return sorted(glob.glob(os.path.join(folder, "light_*.onnx")))


def constants(graph):
    """The dims of each value that is one number throughout, by name."""
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    flat = {name: list(value.shape) for name, value in known.items()
            if value.dtype == numpy.float32 and value.size > 1 and value.min() == value.max()}
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in known:
            flat[node.output[0]] = [int(size) for size in known[node.input[0]]]
    return flat


def is_factor(graph, name):
    """Whether channels are multiplied or divided by this: it must be far from 0, and positive."""
    for node in graph.node:
        for place, given in enumerate(node.input):
            if given != name:
                continue
            if node.op_type == "Unsqueeze" and is_factor(graph, node.output[0]):
                return True
            if node.op_type == "Mul" or (node.op_type == "BatchNormalization" and place in (1, 4)):
                return True
    return False


def draw_weights(graph, name, dims, random):
    if len(dims) > 1:
        spread = math.sqrt(2 / math.prod(dims[1:]))
        return random.standard_normal(dims, numpy.float32) * numpy.float32(spread)
    if is_factor(graph, name):
        return random.uniform(0.5, 1.5, dims).astype(numpy.float32)
    return random.standard_normal(dims, numpy.float32) * numpy.float32(0.1)


def replace(graph, drawn):
    kept = [tensor for tensor in graph.initializer if tensor.name not in drawn]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name)
                             for name, value in drawn.items())
    nodes = [node for node in graph.node if node.output[0] not in drawn]
    del graph.node[:]
    graph.node.extend(nodes)
    names = {tensor.name for tensor in graph.initializer}
    inputs = [given for given in graph.input if given.name not in names]
    del graph.input[:]
    graph.input.extend(inputs)


def scores_spread(model, random):
    """How far the Softmax's inputs are spread on a drawn image."""
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.append(onnx.helper.make_empty_tensor_value_info(softmax.input[0]))
    session = onnxruntime.InferenceSession(probe.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    image = random.standard_normal(given.shape, numpy.float32)
    return float(session.run([softmax.input[0]], {given.name: image})[0].std())


def calm(model, drawn, random):
    """Scales the last layer so that Softmax leaves several classes a chance."""
    if not any(node.op_type == "Softmax" for node in model.graph.node):
        return
    last = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")][-1]
    factor = numpy.float32(2 / scores_spread(model, random))
    for name in last.input[1:]:
        if name in drawn:
            drawn[name] = drawn[name] * factor
    replace(model.graph, drawn)


def with_weights(path):
    """Writes the model at PATH again, with weights."""
    model = onnx.load(path)
    random = numpy.random.default_rng(1)
    drawn = {name: draw_weights(model.graph, name, dims, random)
             for name, dims in sorted(constants(model.graph).items())}
    replace(model.graph, drawn)
    model.ir_version = max(model.ir_version, 4)  # initializers need not be inputs from 4 on
    calm(model, drawn, random)
    onnx.save(model, path)
