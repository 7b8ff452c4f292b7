#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes ml_references_*.h: what ONNX Runtime gives for small models of ai.onnx.ml.

    python3 make_ml_references.py        (needs numpy, onnx and onnxruntime)

The models are random from a fixed seed; each op is there with every post transform, kernel,
label type and special case that its implementation tells apart.
"""
import os

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]
KERNELS = ["LINEAR", "POLY", "RBF", "SIGMOID"]
TYPES = {
    "float32": (TensorProto.FLOAT, "MLS_FLOAT32", "float"),
    "float64": (TensorProto.DOUBLE, "MLS_FLOAT64", "double"),
    "int64": (TensorProto.INT64, "MLS_INT64", "int64_t"),
    "int32": (TensorProto.INT32, "MLS_INT32", "int32_t"),
    "object": (TensorProto.STRING, "MLS_STRING", "mls_string"),
}
random = np.random.RandomState(7)
cases = {"linear": [], "svm": [], "trees": [], "features": []}


def floats(*shape):
    return random.randn(*shape).astype(np.float32)


def listed(array):
    return [float(v) for v in np.asarray(array, np.float32).ravel()]


def case(file, name, op, inputs, outputs, version=1, **attrs):
    """Runs a model of one node and keeps all that went in and came out."""
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(op, names, [f"y{i}" for i in range(len(outputs))],
                            domain="ai.onnx.ml", **attrs)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(n, TYPES[str(x.dtype)][0], x.shape)
         for n, x in zip(names, inputs)],
        [helper.make_tensor_value_info(f"y{i}", t, None) for i, t in enumerate(outputs)])
    model = helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("ai.onnx.ml", version), helper.make_opsetid("", 18)])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    results = session.run(None, dict(zip(names, inputs)))
    cases[file].append((name, op, attrs, inputs, results))


# --- models ------------------------------------------------------------------------------------

FLOAT, INT, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
COLUMNS = 3


def rows(count=4):
    return floats(count, COLUMNS)


def linear():
    for t in TRANSFORMS:
        for targets in (1, 3):
            case("linear", f"{t} {targets}", "LinearRegressor", [rows()], [FLOAT],
                 coefficients=listed(floats(targets, COLUMNS) * 0.3), targets=targets,
                 intercepts=listed(random.rand(targets)), post_transform=t)
        for classes in (1, 2, 4):
            if t == "PROBIT" and classes == 1:
                continue  # its second column is not written
            labels = {"classlabels_strings": ["a", "bc", "", "d"][:max(classes, 2)]}
            if classes == 4:
                labels = {"classlabels_ints": [5, -3, 2**40, 0]}
            case("linear", f"{t} {classes}", "LinearClassifier", [rows()],
                 [STRING if classes < 4 else INT, FLOAT], post_transform=t, multi_class=1,
                 coefficients=listed(floats(classes, COLUMNS) * 0.3),
                 intercepts=listed(random.rand(classes)), **labels)
    for x in (floats(2, 3).astype(np.float64), np.array([[1, -2, 3]], np.int64),
              np.array([[1, -2, 3]], np.int32)):
        case("linear", str(x.dtype), "LinearClassifier", [x], [INT, FLOAT],
             coefficients=listed(floats(2, 3)), intercepts=listed(floats(2)),
             classlabels_ints=[4, 5])


def svm_attributes(kind, vectors):
    return {"support_vectors": listed(floats(vectors, COLUMNS)), "kernel_type": kind,
            "kernel_params": [0.25, 0.5, 3.0]}


def svm_regressors():
    for kind in KERNELS:
        for vectors in (1, 21):
            case("svm", f"{kind} {vectors}", "SVMRegressor", [rows()], [FLOAT],
                 coefficients=listed(floats(vectors)), rho=listed(floats(1)),
                 n_supports=vectors, **svm_attributes(kind, vectors))
    case("svm", "degree 2", "SVMRegressor", [rows()], [FLOAT], coefficients=listed(floats(5)),
         rho=[0.5], n_supports=5, **{**svm_attributes("POLY", 5), "kernel_params": [0.3, 1, 2]})
    case("svm", "degree 2.5", "SVMRegressor", [np.abs(rows())], [FLOAT],
         coefficients=listed(floats(2)), rho=[0.5], n_supports=2, kernel_type="POLY",
         support_vectors=listed(np.abs(floats(2, COLUMNS))), kernel_params=[0.3, 1.0, 2.5])
    case("svm", "linear mode", "SVMRegressor", [rows()], [FLOAT],
         coefficients=listed(floats(COLUMNS)), rho=[0.5], kernel_type="RBF",
         kernel_params=[0.3, 1.0, 2.5])
    case("svm", "one class", "SVMRegressor", [rows(8)], [FLOAT], one_class=1, rho=[-0.4],
         coefficients=listed(random.rand(4)), n_supports=4, **svm_attributes("RBF", 4))


def svm_classifiers():
    for i, kind in enumerate(KERNELS):
        for classes in (2, 4):
            for probabilities in (False, True):
                per_class = [int(v) for v in random.randint(1, 5, size=classes)]
                vectors, pairs = sum(per_class), classes * (classes - 1) // 2
                extra = {}
                if probabilities:
                    extra = {"prob_a": listed(-random.rand(pairs) - 0.5),
                             "prob_b": listed(floats(pairs) * 0.3)}
                t = TRANSFORMS[(i + classes // 2 + probabilities) % 4]
                case("svm", f"{kind} {classes} {t} {probabilities}", "SVMClassifier", [rows()],
                     [INT, FLOAT], vectors_per_class=per_class, post_transform=t,
                     coefficients=listed(floats(classes - 1, vectors) * 0.4),
                     rho=listed(floats(pairs) * 0.2), classlabels_ints=[7, 5, 3, 1][:classes],
                     **svm_attributes(kind, vectors), **extra)
    for t in TRANSFORMS:
        case("svm", f"pair {t}", "SVMClassifier", [rows()], [STRING, FLOAT],
             vectors_per_class=[2, 3], post_transform=t, coefficients=listed(floats(1, 5)),
             rho=[0.1], classlabels_strings=["no", "yes"], prob_a=[-1.5], prob_b=[0.2],
             **svm_attributes("RBF", 5))
    for classes in (1, 2, 3):
        for positive in (False, True):
            coefficients = floats(classes, COLUMNS)
            case("svm", f"linear mode {classes} {positive}", "SVMClassifier", [rows()],
                 [INT, FLOAT], rho=[0.3], classlabels_ints=[7, 5, 3][:classes],
                 kernel_params=[0.0, 0.0, 0.0],
                 coefficients=listed(np.abs(coefficients) if positive else coefficients))


def stump(prefix, weights):
    """x0 <= 0 ? node 1 : node 2, twice; weights of (node, target, weight)."""
    both = [(t, *w) for t in (0, 1) for w in weights]
    return {"nodes_treeids": [0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2] * 2,
            "nodes_featureids": [0, 0, 0, 1, 0, 0],
            "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_GT", "LEAF", "LEAF"],
            "nodes_values": [0.0] * 6, "nodes_truenodeids": [1, 0, 0] * 2,
            "nodes_falsenodeids": [2, 0, 0] * 2, prefix + "_treeids": [w[0] for w in both],
            prefix + "_nodeids": [w[1] for w in both], prefix + "_ids": [w[2] for w in both],
            prefix + "_weights": listed([w[3] for w in both])}


TREE_ROWS = np.array([[-1, -1, 0], [-1, 1, 0], [1, -1, 0], [1, 1, 0]], np.float32)


def tree_regressors():
    dense = [(1, 0, 0.15), (1, 1, -0.4), (2, 0, 0.35), (2, 1, 0.05)]
    for t in TRANSFORMS:
        for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
            weights = dense if t in ("NONE", "SOFTMAX") else [w for w in dense if w[1] == 0]
            targets = max(w[1] for w in weights) + 1
            case("trees", f"{t} {aggregate}", "TreeEnsembleRegressor", [TREE_ROWS], [FLOAT],
                 n_targets=targets, aggregate_function=aggregate, post_transform=t,
                 base_values=[0.1, 0.2][:targets], **stump("target", weights))


def tree_classifiers():
    pairs = {"probability": [(1, 0, 0.1), (2, 0, 0.4)], "margin": [(1, 0, -0.3), (2, 0, 0.4)]}
    for t in TRANSFORMS:
        for name, weights in pairs.items():
            for base in ([], [0.25], [0.25, -0.1]):
                if t == "PROBIT" and len(base) < 2:
                    continue  # its second column is not written
                extra = {"base_values": listed(base)} if base else {}
                case("trees", f"{t} {name} {len(base)}", "TreeEnsembleClassifier", [TREE_ROWS],
                     [INT, FLOAT], classlabels_int64s=[9, 4], post_transform=t, **extra,
                     **stump("class", weights))
        second = [(n, 1, w) for n, _, w in pairs["margin"]]
        case("trees", f"{t} second class", "TreeEnsembleClassifier", [TREE_ROWS],
             [STRING, FLOAT], classlabels_strings=["a", "b"], post_transform=t,
             **stump("class", second))
        many = [(1, 0, 0.1), (1, 1, -0.4), (1, 2, -0.2), (2, 0, -0.5), (2, 2, -0.1)]
        for base in ([], [0.3, -0.1, 0.2]):
            extra = {"base_values": listed(base)} if base else {}
            case("trees", f"{t} three {len(base)}", "TreeEnsembleClassifier", [TREE_ROWS],
                 [STRING, FLOAT], classlabels_strings=["a", "b", "c"], post_transform=t, **extra,
                 **stump("class", many))
    case("trees", "some classes unseen", "TreeEnsembleClassifier", [TREE_ROWS], [INT, FLOAT],
         classlabels_int64s=[1, 2, 3], **stump("class", [(1, 1, -0.5), (2, 2, -0.25)]))
    case("trees", "one class", "TreeEnsembleClassifier", [TREE_ROWS], [INT, FLOAT],
         classlabels_int64s=[8], post_transform="LOGISTIC", **stump("class", pairs["margin"]))


# --- features ----------------------------------------------------------------------------------

def numbers(dtype):
    x = random.randint(-4, 5, size=(3, 4)).astype(dtype)
    return x + random.rand(3, 4).astype(dtype) if np.dtype(dtype).kind == "f" else x


def scaling():
    for dtype in (np.float32, np.float64, np.int64, np.int32):
        for count in (1, 4):
            case("features", f"{np.dtype(dtype)} {count}", "Scaler", [numbers(dtype)], [FLOAT],
                 offset=listed(floats(count)), scale=listed(floats(count)))
        for norm in ("MAX", "L1", "L2"):
            x = numbers(dtype)
            x[1] = 0
            case("features", f"{np.dtype(dtype)} {norm}", "Normalizer", [x], [FLOAT], norm=norm)
    case("features", "long", "Normalizer", [floats(2, 150)], [FLOAT], norm="L2")


def replacing():
    x = np.array([[1, np.nan, 0, -0.0], [np.nan, np.inf, 2.5, 1]], np.float32)
    for replaced in (float("nan"), 0.0, 1.0):
        for count in (1, 4):
            case("features", f"{replaced} {count}", "Imputer", [x], [FLOAT],
                 imputed_value_floats=listed(floats(count)), replaced_value_float=replaced)
    case("features", "int64", "Imputer", [np.array([[1, 7], [7, -1]])], [INT],
         imputed_value_int64s=[10, 2**40], replaced_value_int64=7)
    for threshold in (0.0, 0.5, -2.0):
        case("features", f"{threshold}", "Binarizer", [np.array([[-3, -2, 0, 0.5, 1]], np.float32)],
             [FLOAT], threshold=threshold)


def encoding():
    words = np.array([["cat", "dog"], ["", "bird"]], object)
    case("features", "strings", "OneHotEncoder", [words], [FLOAT], cats_strings=["dog", "", "x"])
    case("features", "ints", "OneHotEncoder", [np.array([[3, -1, 0]])], [FLOAT],
         cats_int64s=[0, 3, 7])
    case("features", "floats", "OneHotEncoder", [np.array([3.9, -0.5, 7], np.float32)], [FLOAT],
         cats_int64s=[0, 3, 7])
    case("features", "floats64", "OneHotEncoder", [np.array([[3.9], [-1.5]], np.float64)],
         [FLOAT], cats_int64s=[0, 3, -1])
    case("features", "strings to ints", "LabelEncoder", [words], [INT], 2,
         keys_strings=["bird", "cat"], values_int64s=[-7, 9])
    case("features", "strings to floats", "LabelEncoder", [words], [FLOAT], 2,
         keys_strings=["bird", ""], values_floats=[1.5, 2.5], default_float=-3.25)
    numbers_in = np.array([5, 6, 7, -1])
    case("features", "ints to strings", "LabelEncoder", [numbers_in], [STRING], 2,
         keys_int64s=[7, 5], values_strings=["seven", "five"], default_string="?")
    case("features", "ints to ints", "LabelEncoder", [numbers_in], [INT], 4,
         keys_int64s=[7, 5], values_int64s=[70, 50], default_int64=0)
    reals = np.array([1.5, np.nan, 0.0, 3.0], np.float32)
    case("features", "floats to strings", "LabelEncoder", [reals], [STRING], 4,
         keys_floats=[float("nan"), 1.5], values_strings=["nan", "1.5"])
    case("features", "floats to ints", "LabelEncoder", [reals], [INT], 4,
         keys_floats=[3.0, 1.5], values_int64s=[3, 1])
    case("features", "opset 1", "LabelEncoder", [words], [INT], classes_strings=["cat", "dog"],
         default_int64=-9, default_string="unknown")
    case("features", "opset 1 back", "LabelEncoder", [np.array([[1, 0], [2, -1]])], [STRING],
         classes_strings=["cat", "dog"], default_int64=-9, default_string="unknown")


def columns():
    case("features", "two", "ArrayFeatureExtractor", [floats(3, 4), np.array([3, 0, 3])], [FLOAT])
    case("features", "one", "ArrayFeatureExtractor", [floats(4), np.array([[2], [1]])], [FLOAT])
    case("features", "three", "ArrayFeatureExtractor",
         [random.randn(2, 2, 3), np.array([2])], [TensorProto.DOUBLE])
    case("features", "strings", "ArrayFeatureExtractor",
         [np.array([["a", "b"], ["c", "d"]], object), np.array([1])], [STRING])
    case("features", "fit", "FeatureVectorizer", [floats(2, 3), floats(2, 1)], [FLOAT],
         inputdimensions=[3, 1])
    case("features", "cut and fill", "FeatureVectorizer", [floats(2, 3), floats(2, 1)], [FLOAT],
         inputdimensions=[2, 3])
    case("features", "one row", "FeatureVectorizer",
         [np.array([4, 5]), np.array([[6]])], [FLOAT], inputdimensions=[2, 1])


# --- C -----------------------------------------------------------------------------------------

def c_string(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def c_number(value, dtype):
    if dtype in ("float32", "float64"):
        if np.isnan(value):
            return "NAN"
        if np.isinf(value):
            return "-INFINITY" if value < 0 else "INFINITY"
        return f"{value:.9g}" if dtype == "float32" else f"{value:.17g}"
    return f"INT64_C({value})" if abs(int(value)) > 2**31 else str(value)


def c_array(values, dtype):
    values = list(values)
    if dtype == "object":
        body = ", ".join(f"{{{c_string(v)}, {len(v)}}}" for v in values)
    else:
        body = ", ".join(c_number(v, dtype) for v in values)
    return f"(const {TYPES[dtype][2]}[]){{{body}}}"


def c_attr(name, value):
    if isinstance(value, str):
        return f'{{{c_string(name)}, \'s\', 1, (const char *const[]){{{c_string(value)}}}}}'
    if isinstance(value, int):
        return f"{{{c_string(name)}, 'i', 1, {c_array([value], 'int64')}}}"
    if isinstance(value, float):
        return f"{{{c_string(name)}, 'f', 1, {c_array([value], 'float32')}}}"
    if isinstance(value[0], str):
        body = ", ".join(c_string(v) for v in value)
        return f"{{{c_string(name)}, 'S', {len(value)}, (const char *const[]){{{body}}}}}"
    if isinstance(value[0], int):
        return f"{{{c_string(name)}, 'I', {len(value)}, {c_array(value, 'int64')}}}"
    return f"{{{c_string(name)}, 'F', {len(value)}, {c_array(value, 'float32')}}}"


def c_value(array):
    dtype = str(array.dtype)
    dims = ", ".join(str(d) for d in array.shape)
    return (f"{{{TYPES[dtype][1]}, {array.ndim}, {{{dims}}}, "
            f"{c_array(array.ravel(), dtype)}}}")


def write(file):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"ml_references_{file}.h")
    with open(path, "w", encoding="ascii") as out:
        out.write("/* SPDX-License-Identifier: Apache-2.0 */\n"
                  "/* Made by make_ml_references.py: not to be edited. */\n"
                  "/* clang-format off */\n"
                  f"static const ml_case {file}_cases[] = {{\n")
        for name, op, attrs, inputs, outputs in cases[file]:
            lines = ", ".join(c_attr(k, v) for k, v in attrs.items())
            ins = ", ".join(c_value(x) for x in inputs)
            outs = ", ".join(c_value(np.asarray(y)) for y in outputs)
            lines = lines or '{"", 0, 0, NULL}'
            out.write(f"{{{c_string(op)}, {c_string(name)}, {len(attrs)}, {len(inputs)}, "
                      f"{len(outputs)},\n {{{lines}}},\n {{{ins}}},\n {{{outs}}}}},\n")
        out.write("};\n")


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(4)
    for make in (linear, svm_regressors, svm_classifiers, tree_regressors, tree_classifiers,
                 scaling, replacing, encoding, columns):
        make()
    for file in cases:
        write(file)
