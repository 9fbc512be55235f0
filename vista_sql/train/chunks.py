"""Some rows of a training, column by column: how wide they are, and how columns are scaled."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float64]
FloatType: TypeAlias = np.dtype[np.float32] | np.dtype[np.float64]

CHUNK_VALUES = 1 << 20  # 4 MiB of float32: a chunk stays in L2/L3 between its two products
MIN_CHUNK_ROWS, MAX_CHUNK_ROWS = 64, 4096


class Layout(Struct, frozen=True):
    """How wide a row is: structured float64 values, then float32 layers."""

    n_structured: int
    layer_sizes: tuple[int, ...]

    @property
    def block_widths(self) -> tuple[int, ...]:
        """Values that a row has in each of `Chunk.blocks`."""
        return (self.n_structured, *self.layer_sizes)

    @property
    def width(self) -> int:
        """Values a row."""
        return sum(self.block_widths)

    @property
    def dtype(self) -> np.dtype[np.void]:
        """A spooled row: hash, unit, code, structured, and a field per layer."""
        layers = [(f"layer{i}", "<f4", (size,)) for i, size in enumerate(self.layer_sizes)]
        return np.dtype(
            [
                ("hash", "<u8"),
                ("unit", "<f8"),
                ("code", "<i8"),
                ("structured", "<f8", (self.n_structured,)),
                *layers,
            ]
        )

    @property
    def chunk_rows(self) -> int:
        """Rows in a chunk: of the width only, so that chunks do not depend on how rows came."""
        return min(max(CHUNK_VALUES // max(1, self.width), MIN_CHUNK_ROWS), MAX_CHUNK_ROWS)


class Chunk(Struct, frozen=True):
    """Some rows, column by column.

    What `TrainingRows.chunks` yields is valid until the next chunk is asked for, and has features
    in the training's dtype; before, structured columns are float64, as they are stored (see
    `train.encoding`), and layers float32.
    """

    hash: Array  # (rows,) uint64: the order of rows
    unit: Array  # (rows,) float64 in [0, 1): the row's place in the split
    code: Array  # (rows,) int64: the label's class
    structured: Array  # (rows, columns)
    layers: tuple[Array, ...]  # each (rows, values)

    def __len__(self) -> int:
        return len(self.code)

    @property
    def blocks(self) -> tuple[Array, ...]:
        """The features: the structured columns, then the layers; `FeatureSet.blocks` names some."""
        return (self.structured, *self.layers)

    @property
    def n_bytes(self) -> int:
        """Size in bytes."""
        return sum(column.nbytes for column in (self.hash, self.unit, self.code, *self.blocks))

    def take(self, index: Array | slice) -> Chunk:
        """Return a copy of some rows."""

        def copied(values: Array) -> Array:
            return values[index].copy() if isinstance(index, slice) else values[index]

        return Chunk(
            copied(self.hash),
            copied(self.unit),
            copied(self.code),
            copied(self.structured),
            tuple(copied(layer) for layer in self.layers),
        )


class ColumnMoments(Struct, frozen=True):
    """Per column: mean and standard deviation (divided by n, as scikit-learn's StandardScaler)."""

    mean: Floats  # (columns,)
    scale: Floats  # (columns,)

    @property
    def factor(self) -> Floats:
        """1 / scale (columns,), and 0 for a constant column: it gets no weight."""
        with np.errstate(divide="ignore"):
            return np.where(self.scale > 0, 1.0 / self.scale, 0.0)

    def part(self, columns: slice) -> ColumnMoments:
        """Return the moments of some columns."""
        return ColumnMoments(self.mean[columns], self.scale[columns])

    def apply(self, x: Floats, dtype: npt.DTypeLike = np.float32) -> Array:
        """Return (x - mean) / scale (rows, columns), computed in float64; 0 in constant columns."""
        return ((x - self.mean) * self.factor).astype(dtype)
