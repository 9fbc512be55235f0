"""VISTA_HEATMAP: which places of an image make a kept model's score what it is."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import train
from vista_sql.errors import UnknownNameError
from vista_sql.functions import _own_transfer, transfer
from vista_sql.functions._training import find_model
from vista_sql.models import Model
from vista_sql.planning.memory import trainer_bytes
from vista_sql.planning.onnx_files import PIXELS
from vista_sql.roster import DESCRIPTOR
from vista_sql.sql.calls import Argument, Call, ImageRows, Planner, TableFunction
from vista_sql.sql.kinds import Number, OneOf, Text, wrong
from vista_sql.sql.quoting import identifier, text_literal

METHODS = ("cam", "occlusion")
PATCH, STRIDE = 16, 8  # pixels of the network's input
ADDED = ("class", "score", "from_image", "from_columns", "heatmap", "picture", "error")


class ClassName(Struct, frozen=True):
    """One of a model's classes as it would be written: text, a number, true or false."""

    words: str = "one of the model's classes"

    def read(self, name: str, value: object) -> str:
        """Return the class as text."""
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str | int | float):
            raise wrong(name, self.words, value)
        return str(value)


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of key, class, score, its two parts, map, picture and `error`."""
    model = find_model(call, planner)
    _check_model(model, call)
    limit = planner.setting("memory_limit", call).value
    order = {
        "home": planner.home,
        "model": model.reference,
        "method": call.get("method"),
        "class": _class(model, call),
        "opacity": call.get("opacity"),
        **_patches(call),
        "memory_bytes": trainer_bytes(limit) if isinstance(limit, int) else 0,
    }
    rows = _own_transfer.image_rows_for(model, call, planner)
    if rows.key.lower() in ADDED:
        raise call.error(
            "key",
            f"the key {rows.key!r} is called as a column that VISTA_HEATMAP adds: rename it in the "
            "relation",
        )
    row, heat = (identifier(planner.fresh_name(role)) for role in ("row", "heat"))
    spec = text_literal(replace(rows.spec, store="").to_text())
    said = text_literal(json.dumps(order, sort_keys=True))
    image = f"{spec}, {row}.{rows.image}, CAST({row}.{rows.key_text} AS VARCHAR)"
    label = "VARCHAR" if train.load(model.trainer).learns == "numbers" else model.label_type
    # a picture is a call of its own: where nobody asks for it, DuckDB does not make it
    return (
        f'SELECT {identifier(rows.key)}, CAST({heat}."class" AS {label}) AS "class", '
        f"{heat}.score AS score, {heat}.from_image AS from_image, "
        f"{heat}.from_columns AS from_columns, {heat}.heatmap AS heatmap, "
        f"vista_heat_picture({said}, {image}, {heat}.heatmap) AS picture, "
        f'{heat}."error" AS "error"\n'
        f"FROM (SELECT *, vista_heat({said}, {image}, {_columns(model, rows, row, call)}) "
        f"AS {heat} FROM {rows.relation} AS {row}) AS {row}"
    )


def _check_model(model: Model, call: Call) -> None:
    """Check that a model is a weighted sum of the features of one layer of a network.

    Raises:
        ArgumentError: it is none.
    """
    what = f"model {model.reference!r}"
    if not train.load(model.trainer).is_linear:
        raise call.error(
            "model",
            f"{what} was fitted by trainer {model.trainer!r}, and a heat map is of a weighted sum "
            "of features: name a model of trainer 'logistic' or 'linear'",
        )
    if not model.layers:
        raise call.error(
            "model", f"{what} uses no layer, so no place of an image: name a model of a layer"
        )
    if len(model.layers) > 1:
        raise call.error(
            "model",
            f"{what} uses {len(model.layers)} layers ({', '.join(model.layers)}), and a heat map "
            "is of one: name a model of one layer, VISTA_TRAIN(by_layer => true, …)",
        )
    kept = model.transfer or {}
    if DESCRIPTOR in (kept.get("arguments", {}).get("cnn"), call.get("cnn")):
        raise call.error(
            "model",
            f"{what} uses {DESCRIPTOR!r}, which is no network: name a model of a CNN's layer",
        )


def _class(model: Model, call: Call) -> str | None:
    """Return the class that is explained, as the model writes it; None: each row's likeliest.

    Raises:
        ArgumentError: the model predicts a number.
        UnknownNameError: it has no such class.
    """
    written = call.get("class")
    if written is None:
        return None
    if train.load(model.trainer).learns == "numbers":
        raise call.error(
            "class",
            f"model {model.reference!r} predicts a number: it has no classes, leave class out",
        )
    found = _same(written, model.classes)
    if found is None:
        where = f"model {model.reference!r}"
        raise UnknownNameError("class", written, model.classes, call.place("class"), where)
    return found


def _same(written: str, classes: Sequence[str]) -> str | None:
    """Return the class that a text means: itself, else the same number.

    Example:
        >>> _same("7", ["5.0", "7.0"]), _same("a", ["A"])
        ('7.0', None)
    """
    if written in classes:
        return written
    try:
        return next((name for name in classes if float(name) == float(written)), None)
    except ValueError:
        return None


def _patches(call: Call) -> dict[str, object]:
    """Return patch and stride.

    Raises:
        ArgumentError: they are given where there are no patches.
    """
    if call.get("method") == "cam":
        for name in ("patch", "stride"):
            if call.get(name) is not None:
                raise call.error(
                    name, f"{name} is of method => 'occlusion': leave it out, or name that method"
                )
    return {"patch": call.get("patch") or PATCH, "stride": call.get("stride") or STRIDE}


def _columns(model: Model, rows: ImageRows, row: str, call: Call) -> str:
    """Return the columns that a model needs as one STRUCT; NULL: it needs none.

    Raises:
        ArgumentError: the rows lack one.
    """
    if rows.columns is not None:
        known = {name.lower() for name in rows.columns}
        for name in model.structured:
            if name.lower() not in known:
                raise call.error(
                    "structured",
                    f"model {model.reference!r} needs column {name!r}, which the data does not "
                    f"have; its columns: {', '.join(list(rows.columns)[:40])}",
                )
    names = [identifier(name) for name in model.structured]
    fields = ", ".join(f"{name} := {row}.{name}" for name in names)
    return f"struct_pack({fields})" if names else "NULL"


TRANSFER = transfer.FUNCTION.argument
OWN = ("images", "structured", "key")
OTHERS = (
    *("image", "join_type", "cnn", "weights", "pool", "dtype", "prefix", "seed", "resize", "fit"),
    *("engine", "device", "batch_rows", "threads", *PIXELS),
)


def _optional(name: str) -> Argument:
    return replace(TRANSFER(name), default=None, required=False)


FUNCTION = TableFunction(
    name="vista_heatmap",
    arguments=(
        Argument(
            "model", "a kept model of one layer: name/layer, name@version", Text(), required=True
        ),
        replace(TRANSFER("images"), default=None, required=True),
        *map(_optional, OWN[1:]),
        Argument(
            "class", "the class whose score is explained; default: the predicted", ClassName()
        ),
        Argument(
            "method",
            "'cam': what each place adds, exactly; 'occlusion': how far the score falls",
            OneOf(METHODS),
            "cam",
        ),
        Argument(
            "patch", f"side of what is grayed, in network pixels ({PATCH})", Number(1, whole=True)
        ),
        Argument(
            "stride", f"from patch to patch, in network pixels ({STRIDE})", Number(1, whole=True)
        ),
        Argument("opacity", "of the map over the picture", Number(0, 1), 0.5),
        *map(_optional, OTHERS),
    ),
    expand=expand,
    meaning="what each place of an image adds to a kept model's score, as numbers and a picture",
)
