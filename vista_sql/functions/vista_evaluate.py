"""VISTA_EVALUATE: a kept model's metrics over labelled rows, by BigQuery's names."""

from __future__ import annotations

from vista_sql import train
from vista_sql.functions import _own_transfer
from vista_sql.functions._training import find_model, streamed
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import RelationText, Text
from vista_sql.train.spec import EvaluateSpec

CLASSES = '"precision", recall, accuracy, f1_score, log_loss, roc_auc, n_test AS n, n_skipped'
NUMBERS = "r2, mae, rmse, n_test AS n, n_skipped"


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of one row: the metrics, over how many rows, how many were skipped."""
    model = find_model(call, planner)
    data = _own_transfer.relation_of(model, call, planner)
    spec = EvaluateSpec(model.reference, planner.home, planner.new_run())
    columns = CLASSES if train.load(model.trainer).learns == "classes" else NUMBERS
    return streamed(spec.to_text(), data, planner, columns)


FUNCTION = TableFunction(
    name="vista_evaluate",
    arguments=(
        Argument("model", "a kept model: name, name/layer, name@version", Text(), required=True),
        Argument("data", "labelled rows", RelationText()),
        *_own_transfer.ARGUMENTS,
    ),
    expand=expand,
    meaning="precision, recall, accuracy, f1_score, log_loss, roc_auc; of a number r2, mae, rmse",
)
