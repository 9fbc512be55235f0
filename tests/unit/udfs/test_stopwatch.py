"""What a network's batches tell of its seconds from cut to cut."""

from __future__ import annotations

import numpy as np
from vista_sql.udfs.network import stopwatch
from vista_sql.udfs.network.networks import Network, open_cnn
from vista_sql.udfs.network.stopwatch import Stopwatch

from vista_sql.kernels import InferSpec


def test_times_add_up_from_the_start(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: float(next(now)))
    watch = Stopwatch()
    for _ in range(stopwatch.WARM_UP + 3):
        for start, stop in (("in", "a"), ("a", "b"), ("x", "y")):
            with watch.timing(start, stop, 4):
                pass
    assert watch.from_start("in") == {"a": 0.25, "b": 0.5}
    assert watch.from_start("x") == {"y": 0.25}


def test_first_and_small_batches_do_not_count():
    watch = Stopwatch()
    for rows in (4,) * stopwatch.WARM_UP + (1, 2, 3):
        with watch.timing("in", "a", rows):
            pass
    assert watch.from_start("in") == {}
    with watch.timing("in", "a", 4):
        pass
    assert list(watch.from_start("in")) == ["a"]


def test_a_network_is_timed_while_it_runs():
    network = Network(open_cnn(InferSpec("lenet5", ())), "float32", "cpu")
    height, width, _ = network.cnn.input_shape
    for _ in range(stopwatch.WARM_UP + 2):
        network.features(["c5", "f6"], "max2x2", np.zeros((8, height, width, 1), np.uint8))
    flops = {layer.name: layer.flops for layer in network.cnn.layers}
    assert {"c5", "f6"} <= set(network.timed)
    assert all(found == flops[name] for name, (found, _) in network.timed.items())
    assert 0 < network.timed["c5"][1] < network.timed["f6"][1]
