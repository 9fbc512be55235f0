"""VISTA_EVALUATE: a kept model's metrics over the rows, in one result row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vista_sql.fed_runs import FedKind
from vista_sql.train.metrics import METRICS

from . import train

if TYPE_CHECKING:  # what a kind runs on is imported by the first run
    from vista_sql.train.evaluation import EvaluationRun

FIELDS = tuple(
    field for field in train.FIELDS if field[0] in ("model", "n_test", "n_skipped", *METRICS)
)


def begin(fields: dict[str, Any]) -> EvaluationRun:
    """Return an evaluation."""
    from vista_sql.train.evaluation import EvaluationRun
    from vista_sql.train.spec import EvaluateSpec

    return EvaluationRun(EvaluateSpec(**fields))


KIND = FedKind(begin, FIELDS)
