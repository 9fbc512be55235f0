"""A call's arguments → a TRANSFER that stands for them, whose errors are about that call."""

from __future__ import annotations

from collections.abc import Mapping

from vista_sql.errors import ModelError, QueryError
from vista_sql.functions import _provenance, transfer
from vista_sql.models import Model
from vista_sql.sql.calls import Argument, Call, Planner
from vista_sql.sql.quoting import literal

RECORDED = ("cnn", "pool", "weights", "dtype", "prefix", "seed", "key", "image")
"""Arguments of TRANSFER that a model remembers."""

PASSED_ON = ("images", "structured", "key", "image", "store")
"""Arguments that are TRANSFER's and mean the same here."""

ARGUMENTS = tuple(
    Argument(name, meaning, transfer.FUNCTION.argument(name).kind)
    for name, meaning in (
        ("images", "in place of data: images for its own TRANSFER"),
        ("structured", "the structured relation of that TRANSFER"),
        ("key", "the key of that TRANSFER; default: as the model was trained"),
        ("image", "the image column of that TRANSFER; default: as the model was trained"),
        ("store", "the feature store of that TRANSFER"),
    )
)
"""What a function takes in place of `data` that is made as a model's own TRANSFER made it."""


def text(arguments: Mapping[str, object]) -> str:
    """Return a TRANSFER with the arguments that have a value.

    >>> text({"cnn": "lenet5", "key": None, "layers": ["fc6"]})
    "SELECT * FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'])"
    """
    written = (f"{name} => {literal(v)}" for name, v in arguments.items() if v is not None)
    return f"SELECT * FROM TRANSFER({', '.join(written)})"


def about(call: Call, error: QueryError, arguments: Mapping[str, object]) -> QueryError:
    """Return an error in the text of `arguments` as one about the call that they were made for."""
    place = error.place
    if place is None or not place.text.startswith(text(arguments).partition("(")[0] + "("):
        return error  # in what the user wrote
    for name, value in arguments.items():
        start = place.text.find(written := f"{name} => {literal(value)}")
        if value is not None and 0 <= start <= place.start < start + len(written):
            return error.moved(call.place(name))
    return error.moved(call.place())


def relation_of(model: Model, call: Call, planner: Planner) -> str:
    """Return the rows of a call that scores: its data, or its images as the model had them."""
    images, data = call.get("images"), call.get("data")
    if data is None and images is None:
        name = call.function.upper()
        raise call.error("", f"{name} needs data => …, or images => … to transfer itself")
    if data is None:
        arguments = _as_trained(model, call)
        try:
            return planner.relation(text(arguments), call, "images")
        except QueryError as error:
            raise about(call, error, arguments) from None
    for name in PASSED_ON:
        if call.values.get(name) is not None:
            raise call.error(name, f"data and {name} exclude each other")
    relation = planner.relation(data, call, "data")
    _provenance.check(model, data, planner)
    return relation


def _as_trained(model: Model, call: Call) -> dict[str, object]:
    """Return the arguments of the TRANSFER that makes the model's layers from images."""
    trained_on = _provenance.own_transfer(model)
    if trained_on is None or not model.layers:
        why = "uses no layer" if not model.layers else "was not trained on one TRANSFER's layers"
        raise call.error(
            "images", f"model {model.reference!r} {why}: give it data => … with its columns"
        )
    recorded, columns = trained_on.get("arguments"), trained_on.get("columns")
    if not isinstance(recorded, dict) or not isinstance(columns, dict):
        raise ModelError(f"model {model.reference!r} has a damaged provenance: train it again")
    arguments: dict[str, object] = {
        name: recorded[name] for name in RECORDED if recorded.get(name) not in (None, "")
    }
    arguments["layers"] = [name.removeprefix(recorded.get("prefix", "")) for name in model.layers]
    given = {name: call.values.get(name) for name in PASSED_ON}
    return arguments | {name: value for name, value in given.items() if value is not None}
