"""A small network as data, read from no framework, and what NumPy makes of it."""

from __future__ import annotations

import numpy as np
from vista_sql.udfs.network.graph import Graph
from vista_sql.udfs.network.steps import (
    Activate,
    Add,
    BatchNorm,
    Convolution,
    Dense,
    Image,
    Pad,
    Pooling,
    Relu,
    Reshape,
    Step,
)

from vista_sql.roster import Cnn, Preprocessing

SIDE, CHANNELS, FILTERS, UNITS = 7, 3, 8, 5
MEAN, SCALE = (100.0, 110.0, 120.0), (0.02, 0.03, 0.04)


def _weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(11)
    shapes = {
        "low": (3, 3, CHANNELS, FILTERS),
        "high": (1, 1, FILTERS, FILTERS),
        "top": (3 * 3 * FILTERS, UNITS),
    }
    weights = {name: random.normal(0, 0.3, shape) for name, shape in shapes.items()}
    for name in ("bias", "gamma", "beta", "mean"):
        weights[name] = random.normal(0.5, 0.2, FILTERS)
    weights["variance"] = random.uniform(0.5, 2, FILTERS)
    return {name: values.astype(np.float32) for name, values in weights.items()}


WEIGHTS = _weights()


def graph() -> Graph:
    """A padded convolution with its norm, one that adds its input, a pooling, a dense layer."""
    w, maps = WEIGHTS, (SIDE, SIDE, FILTERS)
    norm = BatchNorm(w["mean"], w["variance"], w["gamma"], w["beta"], 1e-3)
    steps = (
        Step("image", Image(), (), (SIDE, SIDE, CHANNELS)),
        Step("pad", Pad(1, 1, 1, 1), ("image",), (SIDE + 2, SIDE + 2, CHANNELS)),
        Step("low", Convolution(w["low"], w["bias"]), ("pad",), maps),
        Step("norm", norm, ("low",), maps),
        Step("relu", Activate("relu"), ("norm",), maps),
        Step("high", Convolution(w["high"], None, padding="same"), ("relu",), maps),
        Step("sum", Add(), ("relu", "high"), maps),
        Step("relu6", Relu(max_value=6), ("sum",), maps),
        Step("pool", Pooling("max", (3, 3), (2, 2)), ("relu6",), (3, 3, FILTERS)),
        Step("flat", Reshape(), ("pool",), (3 * 3 * FILTERS,)),
        Step("top", Dense(w["top"], None, "tanh"), ("flat",), (UNITS,)),
    )
    return Graph("described", steps, "top")


def by_numpy(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return every layer's values, (rows, values) float64 each."""
    w = {name: values.astype(np.float64) for name, values in WEIGHTS.items()}
    x = (images - np.float64(MEAN)) * np.float64(SCALE)
    values = {"pad": np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))}
    windows = np.lib.stride_tricks.sliding_window_view(values["pad"], (3, 3), axis=(1, 2))
    values["low"] = np.einsum("nyxcij,ijcf->nyxf", windows, w["low"]) + w["bias"]
    factor = w["gamma"] / np.sqrt(w["variance"] + 1e-3)
    values["norm"] = (values["low"] - w["mean"]) * factor + w["beta"]
    values["relu"] = np.maximum(values["norm"], 0)
    values["high"] = values["relu"] @ w["high"][0, 0]
    values["sum"] = values["relu"] + values["high"]
    values["relu6"] = np.clip(values["sum"], 0, 6)
    windows = np.lib.stride_tricks.sliding_window_view(values["relu6"], (3, 3), axis=(1, 2))
    values["pool"] = windows[:, ::2, ::2].max(axis=(-1, -2))
    values["flat"] = values["pool"].reshape(len(images), -1)
    values["top"] = np.tanh(values["flat"] @ w["top"])
    return {name: maps.reshape(len(images), -1) for name, maps in values.items()}


CNN = Cnn(
    name="described",
    title="Described",
    paper="none",
    input_shape=(SIDE, SIDE, CHANNELS),
    parameters=sum(values.size for values in WEIGHTS.values()),
    aliases={},
    feature_layers=("relu6", "top"),
    counted_layers=("top",),
    preprocessing=Preprocessing("rgb", MEAN, SCALE),
    build=lambda: None,
    catalogue=(),
)


def pixels(n: int) -> np.ndarray:
    """Return uint8 (n, height, width, channels)."""
    random = np.random.default_rng(5)
    return random.integers(0, 256, (n, SIDE, SIDE, CHANNELS), dtype=np.uint8)
