# SPDX-License-Identifier: Apache-2.0
"""Inputs drawn for real models: within what a model's tables hold, and with a batch of rows."""
import numpy
import onnx

# Dims that the models do not say; "N" is the batch. Elsewhere a free first dim is the batch, and
# so is each dim of its name; other free dims are 7.
DIMS = {
    "ppocr-v3-det": {"x": ["N", 3, 96, 96]},
    "silero_vad": {"input": ["N", 512], "state": [2, "N", 128], "sr": []},
    "attention_past_u8s8": {"weight_scale": [1], "weight_zero_point": [1]},
}

# Values that the models do not say: one, or from the first up to the second.
VALUES = {
    "silero_vad": {"sr": 16000},
    "magika_v3_3": {"bytes": (0, 256)},  # 256 pads
    "attention_past_u8s8": {"input_scale": 0.01, "weight_scale": 0.01},
}
# Models whose integers are measures rather than places in a table, from the first to the second;
# of bikesharing's, some are of no category then.
MEASURES = {"mlnet_pipeline_181031": (0, 12), "coreml_onehot_bikesharing": (0, 8)}

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

# Ops that hand elements on to where they are looked up.
HANDS_ON = {"ArrayFeatureExtractor", "Cast", "Identity", "Mul", "Reshape", "Scaler", "Slice",
            "Squeeze", "Unsqueeze"}


class Tables:
    """What the integers of a model's inputs may be, from where they are looked up."""

    def __init__(self, graph):
        self.users = {}
        for node in graph.node:
            for place, name in enumerate(node.input):
                self.users.setdefault(name, []).append((node, place))
        self.dims = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
        for node in graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self.dims[node.output[0]] = list(attribute.t.dims)

    def choices(self, name):
        """The values that the smallest table or list of categories has, or None."""
        found, reached, front = [], {name}, [name]
        while front:
            for node, place in self.users.get(front.pop(0), []):
                given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
                if node.op_type == "OneHotEncoder" and "cats_int64s" in given:
                    found.append(list(given["cats_int64s"]))
                if node.op_type == "Gather" and place == 1 and node.input[0] in self.dims:
                    found.append(list(range(self.dims[node.input[0]][given.get("axis", 0)])))
                if node.op_type == "DictVectorizer" and "int64_vocabulary" in given:
                    found.append(list(given["int64_vocabulary"]))
                if node.op_type in HANDS_ON and place == 0 and node.output[0] not in reached:
                    reached.add(node.output[0])
                    front.append(node.output[0])
        return min(found, key=len, default=None)


def batch_names(model, inputs):
    """The names of free first dims; None among them for one without a name."""
    return {given.shape[0] for given in inputs
            if given.name not in DIMS.get(model, {}) and given.shape
            and not (isinstance(given.shape[0], int) and given.shape[0] > 0)}


def batch_axis(model, given, names):
    """The axis of an input that its rows lie along, or None."""
    known = DIMS.get(model, {}).get(given.name)
    if known is not None:
        return known.index("N") if "N" in known else None
    for axis, size in enumerate(given.shape or []):
        if size in names and (isinstance(size, str) or axis == 0):
            return axis
    return None


def dims_of(model, given, axis, batch):
    known = DIMS.get(model, {}).get(given.name, given.shape or [])
    sizes = [size if isinstance(size, int) and size > 0 else 7 for size in known]
    if axis is not None:
        sizes[axis] = batch
    return sizes


def elements(model, given, dims, tables, random):
    dtype = DTYPES[given.type]
    value = VALUES.get(model, {}).get(given.name)
    if isinstance(value, tuple):
        return random.integers(value[0], value[1] + 1, dims).astype(dtype)
    if value is not None:
        return numpy.full(dims, value, dtype)
    if "mask" in given.name:
        mask = random.integers(0, 2, dims)
        mask[..., 0] = 1  # one that masks all says nothing
        return mask.astype(dtype)
    if numpy.issubdtype(dtype, numpy.floating):
        return random.standard_normal(dims).astype(dtype)
    if dtype in (numpy.uint8, numpy.int8):
        limits = numpy.iinfo(dtype)
        return random.integers(limits.min, limits.max + 1, dims).astype(dtype)
    if dtype is numpy.bool_:
        return random.integers(0, 2, dims).astype(dtype)
    if model in MEASURES:
        return random.integers(MEASURES[model][0], MEASURES[model][1] + 1, dims).astype(dtype)
    choices = tables.choices(given.name)
    if choices is None:
        raise ValueError(f"no table says which integers the input '{given.name}' takes; "
                         "name them in VALUES or MEASURES")
    return random.choice(choices, dims).astype(dtype)


def draw_map(tables, name, random):
    """A map from about half of the vocabulary to numbers."""
    keys = tables.choices(name)
    keys = [key for key in keys if random.integers(0, 2)] or keys[:1]
    return {int(key): float(numpy.float32(random.standard_normal())) for key in keys}


def draw(model, inputs, graph, random, batch=3):
    """The inputs by name, and the axis of each that rows lie along, or None."""
    tables = Tables(graph)
    names = batch_names(model, inputs)
    feeds, axes = {}, {}
    for given in inputs:
        if given.type.startswith("map("):
            feeds[given.name], axes[given.name] = draw_map(tables, given.name, random), None
            continue
        axis = batch_axis(model, given, names)
        dims = dims_of(model, given, axis, batch)
        feeds[given.name], axes[given.name] = elements(model, given, dims, tables, random), axis
    return feeds, axes


def row(feeds, axes, index):
    """The inputs of one row of a batch."""
    return {name: value if axes[name] is None else value.take([index], axes[name])
            for name, value in feeds.items()}
