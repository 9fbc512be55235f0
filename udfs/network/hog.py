"""Histograms of oriented gradients, scikit-image's definition, over batches of gray images.

Every sum runs over one image's values in one fixed order, and nothing but IEEE-exact operations
(and an arctan2 that is only sorted into bins) is used: a row's bits do not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vista_sql.errors import UnknownNameError
from vista_sql.roster import Cnn
from vista_sql.roster.hog import AVERAGED, BLOCK, CELL, ORIENTATIONS

NAME = "hog"
EPSILON, CLIP = 1e-5, 0.2  # skimage.feature._hog._hog_normalize_block, 'L2-Hys'
IMAGES = 16  # computed at once: what they take stays in cache


def hog(gray: np.ndarray) -> np.ndarray:
    """Return the descriptors of gray images, as `skimage.feature.hog` does with L2-Hys.

    Args:
        gray: float64 (images, height, width), sides that are multiples of 8.

    Returns:
        float32 (images, blocks down × blocks across × 2 × 2 × 9).
    """
    n, height, width = gray.shape
    down, across = np.zeros_like(gray), np.zeros_like(gray)
    down[:, 1:-1] = gray[:, 2:] - gray[:, :-2]
    across[:, :, 1:-1] = gray[:, :, 2:] - gray[:, :, :-2]
    strength = np.sqrt(down * down + across * across)
    angle = np.rad2deg(np.arctan2(down, across)) % 180
    bins = np.minimum((angle * (ORIENTATIONS / 180)).astype(np.int64), ORIENTATIONS - 1)
    rows, columns = height // CELL, width // CELL
    cell = (np.arange(height) // CELL)[:, None] * columns + np.arange(width) // CELL
    bins += (cell + (np.arange(n) * (rows * columns))[:, None, None]) * ORIENTATIONS
    total = np.bincount(bins.ravel(), strength.ravel(), n * rows * columns * ORIENTATIONS)
    cells = (total / (CELL * CELL)).reshape(n, rows, columns, ORIENTATIONS)
    blocks = np.lib.stride_tricks.sliding_window_view(cells, (BLOCK, BLOCK), axis=(1, 2))
    values = np.ascontiguousarray(blocks.transpose(0, 1, 2, 4, 5, 3))
    values = values.reshape(-1, BLOCK * BLOCK * ORIENTATIONS)
    values = np.minimum(values / _norm(values), CLIP)
    values /= _norm(values)
    descriptors: np.ndarray = values.astype(np.float32).reshape(n, -1)
    return descriptors


def _norm(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((values * values).sum(axis=1, keepdims=True) + EPSILON**2))


class Hog:
    """Images → descriptors, by the methods of `networks.Network`; no engine, and any thread."""

    batch_rows = 256
    on_gpu = False

    def __init__(self, cnn: Cnn) -> None:
        self.cnn = cnn

    def size(self, layer: str) -> int:
        """Return the values of one image."""
        self._check([layer])
        return self.cnn.layers[0].size

    def run(
        self, start: str | None, outputs: Sequence[tuple[str, str]], values: np.ndarray
    ) -> list[np.ndarray]:
        """Return the descriptors for each output (layer, pool); there is one. See `features`."""
        del start  # the image: the only layer has none above it
        return self.features([layer for layer, _ in outputs], "none", values)

    def features(self, layers: Sequence[str], pool: str, images: np.ndarray) -> list[np.ndarray]:
        """Return one float32 matrix (rows, values) per layer; there is one, and it is a vector.

        Args:
            layers: ('hog',).
            pool: not used: vectors are left as they are.
            images: uint8 (rows, 256, 256, 1).

        Raises:
            UnknownNameError: another layer.
        """
        self._check(layers)
        small = _averaged(images[:, :, :, 0])
        parts = [hog(small[i : i + IMAGES]) for i in range(0, len(small), IMAGES)]
        matrix = np.concatenate(parts) if parts else np.zeros((0, self.size(NAME)), np.float32)
        return [matrix for _ in layers]

    def resume(
        self, start: str, layers: Sequence[str], pool: str, values: np.ndarray
    ) -> list[np.ndarray]:
        """Return the layer itself, from its raw values."""
        self.check_start(start, layers)
        return [values for _ in layers]

    def check_start(self, start: str, layers: Sequence[str]) -> None:
        """Check that layers exist and can be computed from `start`."""
        self._check([start, *layers])

    def _check(self, layers: Sequence[str]) -> None:
        for layer in layers:
            if layer != NAME:
                raise UnknownNameError("layer", layer, (NAME,), where=f"cnn {NAME!r}")


def _averaged(images: np.ndarray) -> np.ndarray:
    """Return uint8 (rows, height, width) as means of 4 × 4, float64 in [0, 1]; sums are exact."""
    n = AVERAGED
    total = np.zeros((len(images), images.shape[1] // n, images.shape[2] // n), np.uint16)
    for i in range(n):
        for j in range(n):
            total += images[:, i::n, j::n]
    return np.asarray(total / (n * n * 255.0))
