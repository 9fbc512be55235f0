"""VISTA_PREDICT: a kept model's predictions beside the rows they are for."""

from __future__ import annotations

from vista_sql.errors import ModelError
from vista_sql.functions import _provenance
from vista_sql.functions._training import data_of, find_model, scored
from vista_sql.models import Model
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import KeyNames, RelationText, StoreChoice, Text
from vista_sql.sql.quoting import literal

TRANSFER_ARGUMENTS = ("cnn", "pool", "weights", "dtype", "prefix", "seed")
"""Arguments of TRANSFER that decide a feature's value or its column's name."""

PASSED_ON = ("images", "structured", "image", "store", "key")
"""Arguments that are TRANSFER's and mean the same here."""


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of all columns of the rows, their predictions and `error`."""
    model = find_model(call, planner)
    if call.get("data") is None and call.get("images") is None:
        raise call.error("", "VISTA_PREDICT needs data => …, or images => … to transfer itself")
    if call.get("data") is None:
        relation = f"(SELECT * FROM {_transfer(model, call)})"
        return scored(model, planner.relation(relation, call, "images"), planner)
    if call.get("images") is not None:
        raise call.error("images", "data and images exclude each other")
    data = data_of(call, planner)
    _provenance.check(model, call.get("data"), planner)
    return scored(model, data, planner)


def _transfer(model: Model, call: Call) -> str:
    """Return the text of the TRANSFER that makes the model's layers from images."""
    trained_on = _provenance.own_transfer(model)
    if trained_on is None or not model.layers:
        why = "uses no layer" if not model.layers else "was not trained on one TRANSFER's layers"
        raise call.error(
            "images", f"model {model.reference!r} {why}: give it data => … with its columns"
        )
    recorded = trained_on.get("arguments")
    columns = trained_on.get("columns")
    if not isinstance(recorded, dict) or not isinstance(columns, dict):
        raise ModelError(f"model {model.reference!r} has a damaged provenance: train it again")
    arguments: dict[str, object] = {
        name: recorded[name] for name in TRANSFER_ARGUMENTS if recorded.get(name) not in (None, "")
    }
    arguments["layers"] = [name.removeprefix(recorded.get("prefix", "")) for name in model.layers]
    arguments |= {name: call.values.get(name) for name in PASSED_ON}
    text = ", ".join(f"{name} => {literal(v)}" for name, v in arguments.items() if v is not None)
    return f"TRANSFER({text})"


FUNCTION = TableFunction(
    name="vista_predict",
    arguments=(
        Argument("model", "a kept model: name, name/layer, name@version", Text(), required=True),
        Argument("data", "the rows", RelationText()),
        Argument("images", "in place of data: images for its own TRANSFER", RelationText()),
        Argument("structured", "the structured relation of that TRANSFER", RelationText()),
        Argument("key", "the key of that TRANSFER", KeyNames()),
        Argument("image", "the image column of that TRANSFER", Text("a column's name")),
        Argument("store", "the feature store of that TRANSFER", StoreChoice()),
    ),
    expand=expand,
    meaning="every column of the rows, predicted_label, probability, probabilities, error",
)
