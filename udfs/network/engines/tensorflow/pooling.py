"""Feature maps → features, inside the TensorFlow graph: every pooling.

A map (batch, height, width, channels) becomes a vector (batch, cells × channels) in the order
(cell_y, cell_x, channel), row-major. The 2 × 2 grid halves each side; the middle row or column of
an odd side belongs to both halves (rows 0..(s-1)/2 and (s-1)/2..s-1), so that all cells are of one
size; a side of 1 stays one cell, so a 1 × 1 map is left as it is. Vectors are left as they are.
All arithmetic is float32.
"""

from __future__ import annotations

from itertools import product

from vista_sql.errors import ArgumentError
from vista_sql.kernels import POOLS

from ...pools import GEM_FLOOR, GEM_POWER, halves
from .process import Tensor, load


def pooled(values: Tensor, pool: str) -> Tensor:
    """Return (batch, values) float32 features of one layer's output of any rank.

    Raises:
        ArgumentError: there is no such pooling.
    """
    if pool not in POOLS:
        raise ArgumentError(f"unknown pool {pool!r}; there is: {', '.join(POOLS)}")
    tf, _ = load()
    values = tf.cast(values, tf.float32)
    if values.shape.rank != 4 or pool == "none":
        return tf.reshape(values, (-1, values.shape[1:].num_elements()))
    if pool in ("gap", "gmp", "gem"):
        return _global(values, pool)
    reduce = tf.reduce_max if pool == "max2x2" else tf.reduce_mean
    cells = [
        reduce(values[:, top:bottom, left:right, :], axis=(1, 2))
        for (top, bottom), (left, right) in product(
            halves(values.shape[1]), halves(values.shape[2])
        )
    ]
    return tf.concat(cells, axis=1) if len(cells) > 1 else cells[0]


def _global(values: Tensor, pool: str) -> Tensor:
    tf, _ = load()
    if pool == "gmp":
        return tf.reduce_max(values, axis=(1, 2))
    if pool == "gap":
        return tf.reduce_mean(values, axis=(1, 2))
    powers = tf.maximum(values, GEM_FLOOR) ** GEM_POWER
    return tf.reduce_mean(powers, axis=(1, 2)) ** (1 / GEM_POWER)
