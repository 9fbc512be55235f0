"""VISTA_TRAIN and VISTA_COMPARE: models of the rows, a result row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vista_sql import weights
from vista_sql.fed_runs import FedKind

if TYPE_CHECKING:  # what a kind runs on is imported by the first run
    from vista_sql.train.training import TrainingRun

FIELDS = (
    ("model", "VARCHAR", pa.string()),
    ("feature_set", "VARCHAR", pa.string()),
    ("layer", "VARCHAR", pa.string()),
    ("n_train", "BIGINT", pa.int64()),
    ("n_test", "BIGINT", pa.int64()),
    ("n_skipped", "BIGINT", pa.int64()),
    ("dims", "INTEGER", pa.int32()),
    ("reg", "DOUBLE", pa.float64()),
    ("l1_ratio", "DOUBLE", pa.float64()),
    ("fraction", "DOUBLE", pa.float64()),
    ("iterations", "INTEGER", pa.int32()),
    ("converged", "BOOLEAN", pa.bool_()),
    ("accuracy", "DOUBLE", pa.float64()),
    ("precision", "DOUBLE", pa.float64()),
    ("recall", "DOUBLE", pa.float64()),
    ("f1_score", "DOUBLE", pa.float64()),
    ("f1_score_std", "DOUBLE", pa.float64()),
    ("roc_auc", "DOUBLE", pa.float64()),
    ("log_loss", "DOUBLE", pa.float64()),
    ("r2", "DOUBLE", pa.float64()),
    ("mae", "DOUBLE", pa.float64()),
    ("rmse", "DOUBLE", pa.float64()),
    ("lift", "DOUBLE", pa.float64()),
    ("seconds", "DOUBLE", pa.float64()),
    ("is_best", "BOOLEAN", pa.bool_()),
    ("confidence", "DOUBLE", pa.float64()),
    ("warning", "VARCHAR", pa.string()),
)
"""Columns of VISTA_TRAIN's result, in their order: name, SQL type, Arrow type."""


def begin(fields: dict[str, Any]) -> TrainingRun:
    """Return a training, with the identity of weights that were not here when it was planned."""
    from vista_sql.train.spec import TrainSpec
    from vista_sql.train.training import TrainingRun

    for transfer in fields["provenance"].get("transfers", ()):
        if transfer["weights_sha256"] is None:
            asked = transfer["arguments"]
            cnn = weights.facts(asked["cnn"])
            choice = weights.resolve(cnn, asked["weights"], asked.get("seed", 0))
            transfer["weights_sha256"] = choice.identity
    return TrainingRun(TrainSpec.from_fields(fields))


KIND = FedKind(begin, FIELDS)
