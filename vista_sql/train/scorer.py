"""A kept model and batches of Arrow columns → scores; columns of another kind are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from vista_sql import train
from vista_sql.errors import ModelError
from vista_sql.models import Model
from vista_sql.train.chunks import Array, Floats
from vista_sql.train.columns import is_layer, is_structured, is_text
from vista_sql.train.metrics import probabilities
from vista_sql.train.rows import Skip, fits, matrix, numbers

MAX_VALUES = 1 << 22  # scored at once: 32 MiB of float64 per thread


class Scored(Struct, frozen=True):
    """Scores of a batch of rows."""

    margins: Array  # (rows, columns) float64, as `Trainer.margins`
    usable: Array  # (rows,) bool: margins mean something
    reasons: list[str | None]  # why a row is not usable

    @property
    def chances(self) -> Floats:
        """(rows, classes) probabilities."""
        return probabilities(self.margins)


class Scorer:
    """A model's arrays in memory, ready for batches of rows; used from several threads."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.classes = model.classes
        self._arrays = model.arrays()
        self._trainer = train.load(model.trainer)
        self._n_structured = len(model.numbers) * (1 if model.fill is None else 2) + sum(
            len(levels) + 1 for levels in model.levels.values()
        )
        self.learns = self._trainer.learns

    def check(self, batch: Mapping[str, pa.Array]) -> dict[str, str]:
        """Return the data's own name of each column that the model needs.

        Raises:
            ModelError: a column is missing, or is of another kind or length.
        """
        model, by_lower = self.model, {name.lower(): name for name in batch}
        names = {}
        for name in (*model.structured, *model.layers):
            column = by_lower.get(name.lower())
            if column is None:
                raise ModelError(
                    f"model {model.reference!r} needs column {name!r}, which the data does not "
                    f"have; its columns: {', '.join(list(batch)[:40])}"
                )
            kind, size = batch[column].type, model.layers.get(name)
            fits = is_structured(kind) if size is None else is_layer(kind)
            wanted = "a number or BOOLEAN" if size is None else f"FLOAT[{size}]"
            if name in model.levels:
                fits, wanted = is_text(kind), "text"
            if size is not None and pa.types.is_fixed_size_list(kind):
                fits = fits and kind.list_size == size
            if not fits and not pa.types.is_null(kind):
                raise ModelError(
                    f"model {model.reference!r} was trained with column {name!r} as {wanted}, and "
                    f"the data's is {kind}: give it the same cnn, layer, pool and columns"
                )
            names[name] = column
        return names

    def score(self, batch: Mapping[str, pa.Array]) -> Scored:
        """Score a batch, in float64.

        Raises:
            ModelError: the rows are not what the model was trained on.
        """
        names, n = self.check(batch), len(next(iter(batch.values())))
        model = self.model
        width = self._n_structured + sum(model.layers.values())
        step = max(64, MAX_VALUES // max(1, width))
        parts = [
            self._score({name: batch[column].slice(start, step) for name, column in names.items()})
            for start in range(0, max(n, 1), step)
        ]
        return Scored(
            np.concatenate([part.margins for part in parts]),
            np.concatenate([part.usable for part in parts]),
            [reason for part in parts for reason in part.reasons],
        )

    def _score(self, batch: Mapping[str, pa.Array]) -> Scored:
        model, n = self.model, len(next(iter(batch.values())))
        sizes = list(model.layers.values())
        x = np.zeros((n, self._n_structured + sum(sizes)), np.float64)
        usable, reasons = np.ones(n, bool), np.full(n, None, dtype=object)

        def need(name: str, good: Array) -> None:
            reasons[usable & ~good] = str(Skip("feature", name))
            usable[~good] = False

        for i, name in enumerate(model.numbers):
            column = batch[name]
            x[:, i] = np.nan if pa.types.is_null(column.type) else numbers(column)
            if model.fill is not None:
                there = ~np.isnan(x[:, i])
                x[:, i] = np.where(there, x[:, i], model.fill[i])
                x[:, len(model.numbers) + i] = ~there
            need(name, fits(x[:, i]))
        start = len(model.numbers) * (1 if model.fill is None else 2)
        for name, levels in model.levels.items():
            x[np.arange(n), start + places(batch[name], levels)] = 1.0
            start += len(levels) + 1
        for name, size in model.layers.items():
            column = batch[name]
            if pa.types.is_null(column.type):
                need(name, np.zeros(n, bool))
            else:
                values, good, _ = matrix(name, column, size)
                if values is not None:
                    x[:, start : start + size] = values
                need(name, good)
            start += size
        x[~usable] = 0.0
        margins = self._trainer.margins(self._arrays, x)
        return Scored(margins, usable, list(reasons))


def places(column: pa.Array, levels: Sequence[str | None]) -> Array:
    """Return where in `levels` each value of a text column (n,) is; after the last, if nowhere.

    >>> places(pa.array(["b", None, "z"]), ["a", "b", None]).tolist()
    [1, 2, 3]
    """
    text = column.cast(pa.large_string())
    found = pc.index_in(text, pa.array(levels, pa.large_string()), skip_nulls=False)
    return np.asarray(pc.fill_null(found, len(levels)).to_numpy(zero_copy_only=False))
