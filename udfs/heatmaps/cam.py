"""What each place of a map adds to a weighted sum of its pooled values, exactly.

Class activation maps (Zhou et al., Learning Deep Features for Discriminative Localization, CVPR
2016, section 2) for every pooling: features are sums, maxima or power means over places, so a
weighted sum of them is a sum over places. What a maximum adds is its first place's, row-major; a
power mean (gem) is shared out by the values' powers.
"""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from ..network.pools import GEM_FLOOR, GEM_POWER, halves

Floats = npt.NDArray[np.float64]

ALL = (slice(None), slice(None))


def cam(map_: Floats, features: Floats, weights: Floats, pool: str) -> Floats:
    """Return what each place adds: (height, width), whose sum is weights · features.

    Args:
        map_: (height, width, channels).
        features: (values,), the map pooled; rounded otherwise than here, perhaps.
        weights: (values,).
        pool: one of vista_sql.kernels.POOLS.

    Example: of two places and one channel, the mean
        >>> cam(np.array([[[1.0], [3.0]]]), np.array([2.0]), np.array([10.0]), "gap")
        array([[ 5., 15.]])
    """
    height, width = map_.shape[:2]
    if pool == "none":
        return np.asarray((weights * features).reshape(map_.shape).sum(axis=2))
    if pool in ("max2x2", "avg2x2"):
        cells = [
            (slice(*rows), slice(*columns))
            for rows, columns in product(halves(height), halves(width))
        ]
    else:
        cells = [ALL]
    heat = np.zeros((height, width))
    parts = zip(np.split(features, len(cells)), np.split(weights, len(cells)), strict=True)
    for cell, (pooled, weight) in zip(cells, parts, strict=True):
        heat[cell] += _of_cell(map_[cell], pooled, weight, pool)
    return heat


def _of_cell(values: Floats, pooled: Floats, weights: Floats, pool: str) -> Floats:
    """Return what each place of a cell (height, width, channels) adds: (height, width)."""
    shape, n_places = values.shape[:2], prod(values.shape[:2])
    flat = values.reshape(n_places, -1)
    if pool in ("max2x2", "gmp"):
        heat = np.zeros(n_places)
        np.add.at(heat, flat.argmax(axis=0), weights * pooled)
        return heat.reshape(shape)
    if pool == "gem":
        powers = np.maximum(flat, GEM_FLOOR) ** GEM_POWER
        return np.asarray(powers @ (weights * pooled / powers.sum(axis=0))).reshape(shape)
    rounding = weights @ (pooled - flat.mean(axis=0))  # of the engine's mean
    return np.asarray((flat @ weights + rounding) / n_places).reshape(shape)
