"""VISTA_EVALUATE: a kept model's metrics over the rows, in one result row."""

from __future__ import annotations

from typing import Any

from vista_sql.fed_runs import FedKind
from vista_sql.train.evaluation import EvaluationRun
from vista_sql.train.metrics import METRICS
from vista_sql.train.spec import EvaluateSpec

from . import train

FIELDS = tuple(
    field for field in train.FIELDS if field[0] in ("model", "n_test", "n_skipped", *METRICS)
)


def begin(fields: dict[str, Any]) -> EvaluationRun:
    """Return an evaluation."""
    return EvaluationRun(EvaluateSpec(**fields))


KIND = FedKind(begin, FIELDS)
