"""vista_score(order, row): a kept model's prediction for each row."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vista_sql import models
from vista_sql.errors import ModelError
from vista_sql.kernels import Kernel

from .passes.arrow import Column
from .passes.runtime import Runtime

if TYPE_CHECKING:  # what scores is imported by the first call
    from vista_sql.train.scorer import Scorer

ARROW_TYPE = pa.struct(
    [
        ("predicted_label", pa.string()),
        ("probability", pa.float64()),
        ("probabilities", pa.map_(pa.string(), pa.float64())),
        ("error", pa.string()),
    ]
)
SQL_TYPE = (
    "STRUCT(predicted_label VARCHAR, probability DOUBLE, probabilities MAP(VARCHAR, DOUBLE), "
    '"error" VARCHAR)'
)
ADDED = ("predicted_label", "probability", "probabilities")


@lru_cache(maxsize=8)
def _scorer(home: str, reference: str, created: int) -> Scorer:
    """Return a model's scorer; `created` tells a model from one of its name in another life."""
    from vista_sql.train.scorer import Scorer

    del created
    return Scorer(models.find(home, reference))


def score(runtime: Runtime, order: Column, row: Column) -> pa.Array:
    """Score a batch.

    Args:
        runtime: unused.
        order: JSON with `home` and `model`, an exact reference; the same in all rows.
        row: a STRUCT of all columns of the data.

    Returns:
        Per row the likeliest class, its probability, that of every class (or the number that is
        predicted, and no probabilities), and `error`: the row's
        own where it has such a column, else why it was not scored; then the rest is NULL.

    Raises:
        ModelError: the data lacks a column of the model, has it in another form, or has one that
            the scores would replace.
    """
    from vista_sql.train.rows import columns_of

    del runtime
    if not len(order):
        return pa.array([], ARROW_TYPE)
    wanted = json.loads(order[0].as_py())
    written = models.find(wanted["home"], wanted["model"]).written_ns
    scorer = _scorer(wanted["home"], wanted["model"], written)
    batch = columns_of(row)
    for name in ADDED:
        if name in (column.lower() for column in batch):
            raise ModelError(
                f"the data of VISTA_PREDICT already has a column {name!r}: rename it in the data"
            )
    scored = scorer.score(batch)
    missing = ~scored.usable
    errors = scored.reasons
    of_rows = next((batch[name] for name in batch if name.lower() == "error"), None)
    if of_rows is not None and not _is_text(of_rows.type):
        raise ModelError(
            f"the data of VISTA_PREDICT has a column 'error' of type {of_rows.type}, which the "
            "reasons of rows that are not scored would replace: rename it there"
        )
    if of_rows is not None:  # why a row has no features says more than that it has none
        errors = [
            errors[row] if error is None else error for row, error in enumerate(of_rows.to_pylist())
        ]
    if scorer.learns == "numbers":
        values = [repr(value) for value in scored.margins[:, 0].tolist()]
        empty = [pa.nulls(len(values), field.type) for field in list(ARROW_TYPE)[1:3]]
        columns = [pa.array(values, pa.string(), mask=missing), *empty]
        return pa.StructArray.from_arrays(
            [*columns, pa.array(errors, pa.string())], fields=list(ARROW_TYPE)
        )
    chances = scored.chances
    best = chances.argmax(axis=1)
    classes = np.array(scorer.classes, dtype=object)
    n, k = chances.shape
    ends = np.append(0, np.cumsum(np.where(missing, 0, k))).astype(np.int32)
    offsets = pa.array(ends, pa.int32(), mask=np.append(missing, False))
    keys = pa.array(np.tile(classes, n - int(missing.sum())), pa.string())
    maps = pa.MapArray.from_arrays(offsets, keys, pa.array(chances[~missing].ravel()))
    return pa.StructArray.from_arrays(
        [
            pa.array(classes[best], pa.string(), mask=missing),
            pa.array(chances[np.arange(n), best], mask=missing),
            maps,
            pa.array(errors, pa.string()),
        ],
        fields=list(ARROW_TYPE),
    )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    )


KERNELS = (Kernel("vista_score", None, SQL_TYPE, score),)
