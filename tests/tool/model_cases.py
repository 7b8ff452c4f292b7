#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real models with their reference outputs, as the folders that `mlscale verify` takes.

    model_cases.py OUT MODELS-FOLDER LIGHT-FOLDER

Makes OUT/GROUP/NAME/{model.onnx,test_data_set_0/input_0.pb,output_0.pb,...}. GROUP is "exact",
"wide" where the reference outputs were computed in 16 bits, or "light". References in .npz, and
the light models' (whose inputs ONNX's runner makes: i/n for element i of n), become .pb. Needs
nothing but Python's own library.
"""
import array
import ast
import glob
import os
import struct
import sys
import zipfile

# .npy's types, as TensorProto numbers them.
DTYPES = {"<f4": 1, "|u1": 2, "<i4": 6, "<i8": 7}

# The references kept as .npz: the model, its inputs and its outputs (file, and name within).
NPZ = {
    "rnn/Autoencoder1D": ("network.onnx", [("inputs.npz", "arr_0")], [("outputs.npz", "output")]),
    "rnn/byte_sb_bidi_lstm": ("model.onnx", [("io.npz", "input")], [("io.npz", "Add_26")]),
}

# Folders with test_data_set_*: the folder of the model, where it is another, and the group.
DATA_SETS = {
    "image/mnist-8": (None, "exact"),
    "image/super-resolution-10": (None, "exact"),
    "image/mobilenetv2-qdq-int8": (None, "exact"),
    "image/squeezenet1.0-fp16": ("image/squeezenet1.0-fp32-derived", "wide"),
}


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def tensor_proto(dtype, dims, raw):
    text = b"".join(b"\x08" + varint(dim) for dim in dims)
    return text + b"\x10" + varint(dtype) + b"\x4a" + varint(len(raw)) + raw


def from_npy(data):
    """The TensorProto of a .npy file's bytes."""
    if data[:6] != b"\x93NUMPY":
        raise ValueError("not a .npy file")
    size, form = (2, "<H") if data[6] == 1 else (4, "<I")
    begin = 8 + size + struct.unpack_from(form, data, 8)[0]
    header = ast.literal_eval(data[8 + size:begin].decode("latin-1"))
    if header["fortran_order"]:
        raise ValueError("elements in Fortran's order, expected C's")
    return tensor_proto(DTYPES[header["descr"]], header["shape"], data[begin:])


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def link(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.symlink(os.path.abspath(source), target)


def add_npz(out, folder):
    for name, (model, inputs, outputs) in NPZ.items():
        source = os.path.join(folder, name)
        case = os.path.join(out, "exact", os.path.basename(name))
        if not os.path.isdir(source):
            continue
        link(os.path.join(source, model), os.path.join(case, "model.onnx"))
        for kind, members in (("input", inputs), ("output", outputs)):
            for index, (file, member) in enumerate(members):
                with zipfile.ZipFile(os.path.join(source, file)) as archive:
                    data = from_npy(archive.read(member + ".npy"))
                write(os.path.join(case, "test_data_set_0", f"{kind}_{index}.pb"), data)


def add_data_sets(out, folder):
    for name, (other, group) in DATA_SETS.items():
        case = os.path.join(out, group, os.path.basename(name))
        model = os.path.join(folder, other or name, "model.onnx")
        if not os.path.exists(model):
            continue
        link(model, os.path.join(case, "model.onnx"))
        for data in glob.glob(os.path.join(folder, name, "test_data_set_*")):
            link(data, os.path.join(case, os.path.basename(data)))


def add_light(out, folder):
    count = 3 * 224 * 224
    ramp = array.array("f", (i / count for i in range(count)))
    if sys.byteorder == "big":
        ramp.byteswap()
    data = tensor_proto(1, [1, 3, 224, 224], ramp.tobytes())
    for model in sorted(glob.glob(os.path.join(folder, "light_*.onnx"))):
        case = os.path.join(out, "light", os.path.basename(model)[:-5])
        link(model, os.path.join(case, "model.onnx"))
        link(model[:-5] + "_output_0.pb", os.path.join(case, "test_data_set_0", "output_0.pb"))
        write(os.path.join(case, "test_data_set_0", "input_0.pb"), data)


def main():
    out, models, light = sys.argv[1:4]
    add_npz(out, models)
    add_data_sets(out, models)
    add_light(out, light)
    return 0


if __name__ == "__main__":
    sys.exit(main())
