"""VISTA_FINETUNE: a network's upper layers tuned with the head on them, a result row per epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vista_sql.fed_runs import FedKind

if TYPE_CHECKING:  # what a kind runs on is imported by the first run
    from ..passes.runtime import Runtime
    from ..tuning.finetuning import FinetuneRun

FIELDS = (
    ("run", "INTEGER", pa.int32()),
    ("kind", "VARCHAR", pa.string()),
    ("epoch", "INTEGER", pa.int32()),
    ("loss", "DOUBLE", pa.float64()),
    ("f1_score", "DOUBLE", pa.float64()),
    ("accuracy", "DOUBLE", pa.float64()),
    ("precision", "DOUBLE", pa.float64()),
    ("recall", "DOUBLE", pa.float64()),
    ("roc_auc", "DOUBLE", pa.float64()),
    ("n", "BIGINT", pa.int64()),
    ("training_loss", "DOUBLE", pa.float64()),
    ("unfrozen", "VARCHAR[]", pa.list_(pa.string())),
    ("reset", "VARCHAR[]", pa.list_(pa.string())),
    ("learning_rate", "DOUBLE", pa.float64()),
    ("inner_learning_rate", "DOUBLE", pa.float64()),
    ("seed", "BIGINT", pa.int64()),
    ("model", "VARCHAR", pa.string()),
    ("warning", "VARCHAR", pa.string()),
    ("lift", "DOUBLE", pa.float64()),
    ("seconds", "DOUBLE", pa.float64()),
    ("is_kept", "BOOLEAN", pa.bool_()),
)
"""Columns of the result, in their order: name, SQL type, Arrow type."""


def begin(runtime: Runtime, fields: dict[str, Any]) -> FinetuneRun:
    """Return a call's fine-tuning."""
    from vista_sql.train.tuning import FinetuneSpec

    from ..tuning.finetuning import FinetuneRun

    return FinetuneRun(runtime, FinetuneSpec.from_fields(fields))


KIND = FedKind(begin, FIELDS, takes_runtime=True)
