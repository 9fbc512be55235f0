"""Networks by name, toys and those of the roster, and all that they compute of seeded pixels."""

from __future__ import annotations

import gc
import hashlib
from functools import lru_cache

import numpy as np
import toys
from vista_sql.udfs.network import networks

from vista_sql import roster
from vista_sql.kernels import InferSpec


def opened(name, dtype="float32"):
    return toys.lowered(name, dtype) if name in toys.TOYS else of_roster(name, dtype)


@lru_cache(maxsize=2)  # each takes up to two gigabytes
def of_roster(name, dtype):
    gc.collect()
    found = networks.open_cnn(InferSpec(name, (), weights="random"))
    return networks.Network(found, dtype, "cpu")


def pixels(name, n):
    shape = (toys.SIDE, toys.SIDE, 3) if name in toys.TOYS else roster.load(name).input_shape
    return np.random.default_rng(3).integers(0, 256, (n, *shape), dtype=np.uint8)


def asked(name):
    """The layers to compare: all of a toy's, of others the results that all paths pass."""
    graph = opened(name).graph
    return [layer for layer in (graph.steps if name in toys.TOYS else graph.cuts)][1:]


@lru_cache(maxsize=1)  # the raw maps of all layers of 33 images
def reference(name, dtype="float32", n=33):
    layers = asked(name)
    found = opened(name, dtype).features(layers, "none", pixels(name, n))
    return dict(zip(layers, found, strict=True))


def digest(name):
    """One text for all bits of a network's layers, of 5 images."""
    found = reference(name, n=5)
    return hashlib.sha256(b"".join(values.tobytes() for values in found.values())).hexdigest()
