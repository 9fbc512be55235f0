"""VISTA_EVALUATE: a kept model's metrics over labelled rows, or those that it was tested on."""

from __future__ import annotations

from vista_sql import models, train
from vista_sql.functions import _own_transfer
from vista_sql.functions._fed import streamed
from vista_sql.functions._training import find_model
from vista_sql.models import Model
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import RelationText, Text
from vista_sql.sql.quoting import values_table
from vista_sql.train.spec import EvaluateSpec

CLASSES = '"precision", recall, accuracy, f1_score, log_loss, roc_auc, n_test AS n, n_skipped'
METRICS = (
    "precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc", "r2", "mae", "rmse",
)  # fmt: skip
NUMBERS = "r2, mae, rmse, n_test AS n, n_skipped"


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of one row: the metrics, over how many rows, how many were skipped.

    Without rows they are those of the rows that the model's training held out.
    """
    model = find_model(call, planner)
    learns = train.load(model.trainer).learns
    columns = CLASSES if learns == "classes" else NUMBERS
    if call.get("data") is None and not _own_transfer.passed_on(call):
        return _held_out(model, call, columns)
    data = _own_transfer.relation_for(model, call, planner)
    spec = EvaluateSpec(model.reference, planner.home, planner.new_run())
    return streamed("evaluate", spec.to_text(), data, planner, columns)


def _held_out(model: Model, call: Call, columns: str) -> str:
    """Return a SELECT of the figures that the model was kept with: of the rows that tested it."""
    row = model.row
    if not models.is_tested(row):
        raise call.error(
            "", f"model {model.reference!r} had no test rows: give VISTA_EVALUATE data => …"
        )
    figures = {"r2": None, "mae": None, "rmse": None, **row}
    kinds = {name: "DOUBLE" for name in METRICS} | {"n_test": "BIGINT", "n_skipped": "BIGINT"}
    table = values_table(kinds, [[figures[name] for name in kinds]])
    return f"SELECT {columns} FROM (\n{table}\n)"


FUNCTION = TableFunction(
    name="vista_evaluate",
    arguments=_own_transfer.beside(
        Argument("model", "a kept model: name, name/layer, name@version", Text(), required=True),
        Argument("data", "labelled rows; default: those held out", RelationText()),
    ),
    expand=expand,
    meaning="precision, recall, accuracy, f1_score, log_loss, roc_auc; of a number r2, mae, rmse",
)
