"""VISTA_MODELS: the kept models, with what they were made from."""

from __future__ import annotations

import json
from typing import Any

from vista_sql import models
from vista_sql.models import Model
from vista_sql.sql.calls import Call, Planner, TableFunction
from vista_sql.sql.quoting import values_table

COLUMNS = {
    "model": "VARCHAR",
    "name": "VARCHAR",
    "version": "INTEGER",
    "feature_set": "VARCHAR",
    "layer": "VARCHAR",
    "label": "VARCHAR",
    "classes": "VARCHAR[]",
    "trainer": "VARCHAR",
    "reg": "DOUBLE",
    "l1_ratio": "DOUBLE",
    "dims": "INTEGER",
    "n_train": "BIGINT",
    "n_test": "BIGINT",
    "n_skipped": "BIGINT",
    "accuracy": "DOUBLE",
    "f1_score": "DOUBLE",
    "roc_auc": "DOUBLE",
    "r2": "DOUBLE",
    "rmse": "DOUBLE",
    "is_best": "BOOLEAN",
    "seed": "BIGINT",
    "cnn": "VARCHAR",
    "cnn_layer": "VARCHAR",
    "weights_sha256": "VARCHAR",
    "dtype": "VARCHAR",
    "engine": "VARCHAR",
    "created": "TIMESTAMP",
    "provenance": "JSON",
}


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT over literal rows: the registry as it is when the statement is planned."""
    del call
    entries = models.entries(planner.home)
    return values_table(COLUMNS, [_values(model, planner.home) for model in entries])


def _values(model: Model, home: str) -> tuple[Any, ...]:
    row, document = model.row, model.document
    transfers = document["provenance"].get("transfers", ())
    fitting = [t for t in transfers if model.layers and set(model.layers) <= set(t["columns"])]
    made: dict[str, Any] = fitting[0] if fitting else {}
    arguments = made.get("arguments", {})
    layers = [made["columns"][name] for name in model.layers] if made else []
    known: dict[str, Any] = {
        **row,
        "model": model.reference,
        "name": model.name,
        "version": model.version,
        "label": model.label,
        "classes": model.classes,
        "seed": document["options"]["seed"],
        "cnn": _cnn(model, arguments.get("cnn"), home),
        "cnn_layer": ", ".join(str(layer) for layer in layers) or None,
        "weights_sha256": made.get("weights_sha256"),
        "dtype": arguments.get("dtype"),
        "engine": arguments.get("engine"),
        "created": document["created"],
        "provenance": json.dumps(document["provenance"], sort_keys=True),
    }
    return tuple(known.get(name) for name in COLUMNS)


def _cnn(model: Model, cnn: str | None, home: str) -> str | None:
    """Return what names a network: that which was tuned with a model has the model's name."""
    if cnn == models.OWN:
        return f"{models.OWN}{model.name}@{model.version}"
    return cnn and (models.reference_of(home, model.path_now(cnn)) or cnn)


FUNCTION = TableFunction(
    name="vista_models",
    arguments=(),
    expand=expand,
    meaning="the kept models, newest version first, with provenance",
)
