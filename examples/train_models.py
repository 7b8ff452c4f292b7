#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Train the two models of the demo from examples/data/h10_daily.csv and measure them.

Both predict how much an exchange rate moves over the next five trading days: the logarithm of the
mean squared daily return. They learn from five dollar rates up to the end of 2005 and are measured
on 2006 to 2018. The script writes

    data/features.csv                        the rows to score: dollar per pound, a row a day
    models/volatility_{trees,mlp}.onnx       the models
    models/volatility_{trees,mlp}.reference.csv   what the training libraries give for these rows
    models/README.md                         the measured figures, between its two markers

    pip install -r requirements.txt && python train_models.py
"""

import csv
import os
import warnings
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one order of summation: before numpy is loaded
os.environ["OMP_NUM_THREADS"] = "1"

import lightgbm
import numpy as np
import onnx
import onnxruntime
from numpy.lib.stride_tricks import sliding_window_view
from onnx import TensorProto, helper, numpy_helper
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
SEED = 20181221
SCORED = "usd_per_gbp"
HORIZON = 5  # trading days ahead
FLOOR = 0.01  # percent squared, a move of 0.1 %: keeps the logarithm of a quiet week finite
EMBARGO = np.timedelta64(14, "D")  # no training target reaches into the days that test it

# First day used of each rate (it floats by then); the sign that makes "up" mean a weaker dollar.
RATES = {
    "usd_per_gbp": ("1973-03-19", +1),
    "jpy_per_usd": ("1973-03-19", -1),
    "usd_per_aud": ("1983-12-12", +1),
    "usd_per_nzd": ("1985-03-04", +1),
    "usd_per_eur": ("1999-01-04", +1),
}
PERIODS = {  # name: (first day of the test, first day after it)
    "validation": ("1998-01-01", "2006-01-01"),
    "test": ("2006-01-01", "2019-01-01"),
}
FEATURES = [
    "log_var_1d", "log_var_5d", "log_var_22d", "log_var_66d", "log_var_252d", "log_max_22d",
    "return_1d", "return_5d", "return_22d", "others_log_var_5d", "others_log_var_22d",
]  # fmt: skip
HAR = [FEATURES.index(name) for name in ("log_var_1d", "log_var_5d", "log_var_22d")]

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
IR_VERSION = 8
NODE_LISTS = (
    "nodes_treeids", "nodes_nodeids", "nodes_modes", "nodes_featureids", "nodes_values",
    "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true",
)  # fmt: skip
LEAF_LISTS = ("target_treeids", "target_nodeids", "target_ids", "target_weights")


# --- data -----------------------------------------------------------------------------------------


def read_returns(path):
    """Daily log returns in percent: {rate: (dates, returns)}, days without a quote left out."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    returns = {}
    for rate, (first_day, sign) in RATES.items():
        quotes = [(r["date"], float(r[rate])) for r in rows if r[rate] and r["date"] >= first_day]
        dates = np.array([date for date, _ in quotes[1:]], dtype="datetime64[D]")
        returns[rate] = dates, sign * 100 * np.diff(np.log([value for _, value in quotes]))
    return returns


def trailing(values, window, reduce):
    """reduce over each day and the window - 1 days before it; NaN where history is too short."""
    out = np.full(len(values), np.nan)
    if len(values) >= window:
        out[window - 1 :] = reduce(sliding_window_view(values, window), axis=1)
    return out


def log_var(squares, window):
    return np.log(trailing(squares, window, np.mean) + FLOOR)


def others_log_var(returns, rate, dates, window):
    """log_var of the other rates' squared returns, averaged over those that have enough history;
    NaN where none has."""
    columns = []
    for other, (other_dates, other_returns) in returns.items():
        if other != rate:
            variance = np.append(trailing(other_returns**2, window, np.mean), np.nan)
            latest = np.searchsorted(other_dates, dates, side="right") - 1  # -1: the NaN at the end
            columns.append(variance[latest])
    known = ~np.isnan(columns)
    count = np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return np.log(np.where(known, columns, 0).sum(axis=0) / count + FLOOR)


def make_rows(returns, rate):
    """One rate's (dates, features, targets). A feature of a day uses that day and earlier ones;
    its target uses the HORIZON days after it and is NaN where they are not all known."""
    dates, moves = returns[rate]
    squares = moves**2
    columns = [log_var(squares, window) for window in (1, 5, 22, 66, 252)]
    columns += [np.log(trailing(squares, 22, np.max) + FLOOR)]
    columns += [trailing(moves, window, np.sum) for window in (1, 5, 22)]
    columns += [others_log_var(returns, rate, dates, window) for window in (5, 22)]
    features = np.stack(columns, axis=1)
    target = np.full(len(moves), np.nan)
    target[:-HORIZON] = log_var(squares, HORIZON)[HORIZON:]
    known = ~np.isnan(features).any(axis=1)
    return dates[known], as_stored(features[known]), target[known]


def as_stored(features):
    """The float32 that a reader of the four decimals in features.csv gets. Training uses the same
    values, so that no threshold falls between a feature and its stored copy."""
    return (np.round(features, 4) + 0.0).astype(np.float32)  # + 0.0: no "-0.0000" in the file


def split(rows, period):
    """All rates' rows before the period, with their targets."""
    end = np.datetime64(PERIODS[period][0]) - EMBARGO
    parts = [(x[d < end], y[d < end]) for d, x, y in rows.values()]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def held_out(rows, period):
    dates, features, target = rows
    first, after = (np.datetime64(day) for day in PERIODS[period])
    chosen = (dates >= first) & (dates < after) & ~np.isnan(target)
    return features[chosen], target[chosen]


# --- models ---------------------------------------------------------------------------------------


def train_trees(features, target):
    """200 trees of at most 31 leaves. More recent variance never lowers the forecast: the
    constraint keeps 200 trees from learning the noise of overlapping targets."""
    model = lightgbm.LGBMRegressor(
        n_estimators=200, learning_rate=0.03, max_depth=5, num_leaves=31, min_child_samples=200,
        subsample=0.5, subsample_freq=1, colsample_bytree=0.5, reg_lambda=50.0,
        monotone_constraints=[int(name.startswith("log_var")) for name in FEATURES],
        random_state=SEED, deterministic=True, force_col_wise=True, n_jobs=1, verbose=-1,
    )  # fmt: skip
    return model.fit(features.astype(np.float64), target)


def train_mlp(features, target):
    """Two hidden layers, 25 passes over the data; stopping early is what keeps it simple."""
    scaler = StandardScaler().fit(features.astype(np.float64))
    mlp = MLPRegressor(
        hidden_layer_sizes=(32, 16), alpha=1.0, learning_rate_init=1e-3, batch_size=256,
        max_iter=25, random_state=SEED,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is the choice
        mlp.fit(scaler.transform(features.astype(np.float64)), target)
    return scaler, mlp


def predict_trees(model, features):
    return model.booster_.predict(features.astype(np.float64), num_threads=1)


def predict_mlp(model, features):
    scaler, mlp = model
    return mlp.predict(scaler.transform(features.astype(np.float64)))


def train_linear(features, target, columns):
    """Ordinary least squares on some columns; on HAR's three it is the HAR model of volatility."""
    design = np.column_stack([np.ones(len(features)), features[:, columns]])
    weights = np.linalg.lstsq(design, target, rcond=None)[0]
    return lambda x: np.column_stack([np.ones(len(x)), x[:, columns]]) @ weights


def train_all(features, target):
    """{name: forecast of a features array}, from the simplest to the two models."""
    trees, mlp = train_trees(features, target), train_mlp(features, target)
    every = list(range(len(FEATURES)))
    forecasts = {
        "training mean": lambda x: np.full(len(x), target.mean()),
        "last 5 days": lambda x: x[:, FEATURES.index("log_var_5d")].astype(np.float64),
        "last 22 days": lambda x: x[:, FEATURES.index("log_var_22d")].astype(np.float64),
        "HAR (linear, 3 features)": train_linear(features, target, HAR),
        "linear, all 11 features": train_linear(features, target, every),
        "**trees**": lambda x: predict_trees(trees, x),
        "**MLP**": lambda x: predict_mlp(mlp, x),
    }
    return trees, mlp, forecasts


# --- figures --------------------------------------------------------------------------------------


def r_squared(target, forecast, reference):
    return 1 - np.mean((target - forecast) ** 2) / np.mean((target - reference) ** 2)


def gain_t_statistic(target, forecast, rival, lags=22):
    """Diebold-Mariano: mean loss of the rival minus that of the forecast over its standard error,
    Newey-West because five-day targets overlap. Beyond about 2 the gain is more than noise."""
    gain = (target - rival) ** 2 - (target - forecast) ** 2
    centred = gain - gain.mean()
    variance = centred @ centred
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag])
    return gain.sum() / np.sqrt(variance)


def scored_table(rows, period, forecasts):
    features, target = held_out(rows[SCORED], period)
    given = {name: forecast(features) for name, forecast in forecasts.items()}
    lines = [
        f"Dollar per pound, {period} {PERIODS[period][0][:4]} to {int(PERIODS[period][1][:4]) - 1},"
        f" {len(target)} days:",
        "",
        "| forecast | R² | RMSE | correlation | t against HAR |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    har = given["HAR (linear, 3 features)"]
    for name, forecast in given.items():
        r2 = r_squared(target, forecast, given["training mean"])
        rmse = np.sqrt(np.mean((target - forecast) ** 2))
        constant = np.ptp(forecast) == 0
        corr = "" if constant else f"{np.corrcoef(target, forecast)[0, 1]:.3f}"
        t = "" if forecast is har else f"{gain_t_statistic(target, forecast, har):+.1f}"
        lines.append(f"| {name} | {r2:.3f} | {rmse:.3f} | {corr} | {t} |")
    return lines


def every_rate_table(rows, period, forecasts):
    names = [name for name in forecasts if name != "training mean"]
    lines = ["R² of every rate over the same years:", ""]
    lines += ["| rate | days | " + " | ".join(names) + " |"]
    lines += ["| --- |" + " ---: |" * (len(names) + 1)]
    for rate in RATES:
        features, target = held_out(rows[rate], period)
        mean = forecasts["training mean"](features)
        values = [r_squared(target, forecasts[name](features), mean) for name in names]
        cells = " | ".join(f"{value:.3f}" for value in values)
        lines.append(f"| `{rate}` | {len(target)} | {cells} |")
    return lines


def write_card(path, figures):
    """Put the figures between the card's markers, so that the card cannot disagree with them."""
    begin, end = "<!-- figures: written by train_models.py -->", "<!-- end of figures -->"
    before, rest = path.read_text().split(begin)
    after = rest.split(end)[1]
    path.write_text("\n".join([before + begin, "", *figures, "", end + after]))


# --- ONNX -----------------------------------------------------------------------------------------


def floor32(threshold):
    """The largest float32 not above a threshold: x <= it exactly when x <= threshold, for every
    float32 x. Rounding to nearest could let a feature cross."""
    rounded = np.float32(threshold)
    if float(rounded) > threshold:  # float(): NumPy would compare two float32
        rounded = np.nextafter(rounded, np.float32(-np.inf))
    return rounded


def tree_nodes(tree):
    """A dumped tree's nodes as a list in preorder, the children replaced by their positions."""
    nodes = []

    def visit(node):
        position = len(nodes)
        nodes.append(node)
        if "leaf_value" not in node:
            node["yes"], node["no"] = visit(node["left_child"]), visit(node["right_child"])
        return position

    visit(tree["tree_structure"])
    return nodes


def tree_attributes(model):
    """The parallel lists of a TreeEnsembleRegressor from LightGBM's dump."""
    nodes, leaves = [], []
    for tree_id, tree in enumerate(model.booster_.dump_model()["tree_info"]):
        for node_id, node in enumerate(tree_nodes(tree)):
            if "leaf_value" in node:
                nodes.append((tree_id, node_id, "LEAF", 0, 0.0, 0, 0, 0))
                leaves.append((tree_id, node_id, 0, node["leaf_value"]))
                continue
            if (node["decision_type"], node["missing_type"]) != ("<=", "None"):
                raise ValueError(f"tree {tree_id}: a split this script cannot express: {node}")
            threshold = float(floor32(node["threshold"]))
            missing = int(threshold >= 0)  # LightGBM reads a missing value as zero
            split_on = node["split_feature"]
            nodes.append((tree_id, node_id, "BRANCH_LEQ", split_on, threshold,
                          node["yes"], node["no"], missing))  # fmt: skip
    return dict(zip(NODE_LISTS, zip(*nodes))) | dict(zip(LEAF_LISTS, zip(*leaves)))


def save_onnx(path, nodes, weights, about):
    rows = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(FEATURES)])
    score = helper.make_tensor_value_info("log_variance", TensorProto.FLOAT, ["batch", 1])
    arrays = [numpy_helper.from_array(value.astype(np.float32), k) for k, value in weights.items()]
    graph = helper.make_graph(nodes, path.stem, [rows], [score], arrays)
    model = helper.make_model(
        graph, opset_imports=OPSETS, ir_version=IR_VERSION, producer_name="train_models.py",
        doc_string=about,
    )  # fmt: skip
    helper.set_model_props(model, {"features": ",".join(FEATURES)})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def save_trees(path, model):
    node = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["log_variance"], "trees", domain="ai.onnx.ml",
        n_targets=1, aggregate_function="SUM", post_transform="NONE", **tree_attributes(model),
    )  # fmt: skip
    save_onnx(path, [node], {}, "Exchange rate volatility over five days: boosted trees")


def save_mlp(path, model):
    scaler, mlp = model
    nodes = [helper.make_node(
        "Scaler", ["features"], ["standard"], "standardise", domain="ai.onnx.ml",
        offset=scaler.mean_.tolist(), scale=(1 / scaler.scale_).tolist(),
    )]  # fmt: skip
    weights, value, last = {}, "standard", len(mlp.coefs_) - 1
    for i, (kernel, bias) in enumerate(zip(mlp.coefs_, mlp.intercepts_)):
        weights |= {f"weight_{i}": kernel, f"bias_{i}": bias}
        out = "log_variance" if i == last else f"sum_{i}"
        inputs = [value, f"weight_{i}", f"bias_{i}"]
        nodes.append(helper.make_node("Gemm", inputs, [out], f"layer_{i}"))
        if i != last:
            value = f"hidden_{i}"
            nodes.append(helper.make_node("Relu", [out], [value], f"relu_{i}"))
    save_onnx(path, nodes, weights, "Exchange rate volatility over five days: a small MLP")


# --- files for the demo ---------------------------------------------------------------------------


def write_csv(path, header, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_features(path, features):
    write_csv(path, FEATURES, ([f"{value:.4f}" for value in row] for row in features))
    stored = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32)
    if not np.array_equal(stored, features):
        raise ValueError(f"{path} does not read back as the values the models were trained on")


def write_reference(path, dates, scores):
    write_csv(path, ["date", "log_variance"], ((day, f"{s:.9g}") for day, s in zip(dates, scores)))


def check_onnx(path, features, scores):
    """The exported model against the library that trained it, through ONNX Runtime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = session.run(None, {"features": features})[0][:, 0].astype(np.float64)
    error = np.abs(given - scores) / np.maximum(1, np.abs(scores))
    print(f"{path.name}: {len(scores)} rows, largest difference from the library {error.max():.1e}")
    if not error.max() < 1e-5:
        raise ValueError(f"{path} differs from its training library")


def main():
    returns = read_returns(HERE / "data" / "h10_daily.csv")
    rows = {rate: make_rows(returns, rate) for rate in RATES}
    figures = []
    for period in PERIODS:  # the models that are kept are those of the last period
        trees, mlp, forecasts = train_all(*split(rows, period))
        figures += scored_table(rows, period, forecasts) + [""]
    figures += every_rate_table(rows, "test", forecasts)
    print("\n".join(figures))
    write_card(HERE / "models" / "README.md", figures)

    dates, features, _ = rows[SCORED]
    write_features(HERE / "data" / "features.csv", features)
    for name, model, save, predict in (
        ("volatility_trees", trees, save_trees, predict_trees),
        ("volatility_mlp", mlp, save_mlp, predict_mlp),
    ):
        path = HERE / "models" / f"{name}.onnx"
        scores = predict(model, features)
        save(path, model)
        write_reference(path.with_suffix(".reference.csv"), dates, scores)
        check_onnx(path, features, scores)


if __name__ == "__main__":
    main()
