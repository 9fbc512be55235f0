"""VISTA_MODELS: the kept models, with what they were made from."""

from __future__ import annotations

import json
from typing import Any

from vista_sql import models
from vista_sql.functions import Call, Planner, TableFunction, text_literal
from vista_sql.models import Model

COLUMNS = (
    ("model", "VARCHAR"),
    ("name", "VARCHAR"),
    ("version", "INTEGER"),
    ("feature_set", "VARCHAR"),
    ("layer", "VARCHAR"),
    ("label", "VARCHAR"),
    ("classes", "VARCHAR[]"),
    ("trainer", "VARCHAR"),
    ("reg", "DOUBLE"),
    ("l1_ratio", "DOUBLE"),
    ("dims", "INTEGER"),
    ("n_train", "BIGINT"),
    ("n_test", "BIGINT"),
    ("n_skipped", "BIGINT"),
    ("accuracy", "DOUBLE"),
    ("f1_score", "DOUBLE"),
    ("roc_auc", "DOUBLE"),
    ("is_best", "BOOLEAN"),
    ("seed", "BIGINT"),
    ("cnn", "VARCHAR"),
    ("cnn_layer", "VARCHAR"),
    ("weights_sha256", "VARCHAR"),
    ("dtype", "VARCHAR"),
    ("created", "TIMESTAMPTZ"),
    ("provenance", "JSON"),
)


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT over literal rows: the registry as it is when the statement is planned."""
    del call
    rows = [_values(model) for model in models.entries(planner.home)]
    names = ", ".join(f'"{name}"' for name, _ in COLUMNS)
    typed = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in COLUMNS)
    if not rows:
        rows = [tuple(None for _ in COLUMNS)]
        typed += " WHERE false"
    lines = ", ".join("(" + ", ".join(_literal(value) for value in row) + ")" for row in rows)
    head, _, condition = typed.partition(" WHERE ")
    where = f" WHERE {condition}" if condition else ""
    return f"SELECT {head} FROM (VALUES {lines}) AS kept({names}){where}"


def _values(model: Model) -> tuple[Any, ...]:
    row, document = model.row, model.document
    transfers = document["provenance"].get("transfers", ())
    made = next(
        (t for t in transfers if model.layers and set(model.layers) <= set(t["columns"])), {}
    )
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
        "cnn": arguments.get("cnn"),
        "cnn_layer": ", ".join(str(layer) for layer in layers) or None,
        "weights_sha256": made.get("weights_sha256"),
        "dtype": arguments.get("dtype"),
        "created": document["created"],
        "provenance": json.dumps(document["provenance"], sort_keys=True),
    }
    return tuple(known.get(name) for name, _ in COLUMNS)


def _literal(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(one) for one in value) + "]"
    return repr(value) if isinstance(value, int | float) else text_literal(str(value))


FUNCTION = TableFunction(
    name="vista_models",
    arguments=(),
    expand=expand,
    meaning="the kept models, newest version first, with provenance",
)
