"""What lowering a network holds: measured on VGG16, whose weights are the largest of the roster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import json, re
import numpy as np
from vista_sql import catalog, roster
from vista_sql.kernels import InferSpec

def bytes_of(name):
    with open("/proc/self/status") as status:
        return int(re.search(name + r":\\s+(\\d+)", status.read())[1]) * 1024

catalog.module("vista_sql.udfs", "network.engines.tensorflow.process").load()
tensorflow = bytes_of("VmRSS")
runtime = catalog.module("vista_sql.udfs", "passes.runtime").Runtime()
network = runtime.network(InferSpec("vgg16", ("fc8",), weights="random"))
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")  # the most from here on: drawing random weights is no part of lowering
network.features(("fc8",), "max2x2", np.zeros((2, 224, 224, 3), np.uint8))
weights = 4 * roster.load("vgg16").parameters
print(json.dumps([bytes_of("VmHWM") - tensorflow, weights]))
"""


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's accounts")
def test_lowering_holds_the_weights_twice_and_a_gigabyte_at_most():
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True, timeout=200
    )
    peak, weights = json.loads(done.stdout.splitlines()[-1])
    assert weights < peak <= 2 * weights + 2**30
