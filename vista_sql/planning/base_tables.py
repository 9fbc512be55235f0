"""`base => 'name'`: a table of a layer's raw maps → the layer at which images start.

VISTA_MATERIALIZE writes such a table where maps are kept in tables: of each image whose bytes it
has seen a digest, the raw map, and what the map was made by. Maps are found by the bytes of images,
so that a key whose image has changed does not get the old one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec.structs import replace

from vista_sql.errors import ArgumentError, QueryError, UnknownNameError
from vista_sql.planning.base_rows import DIGEST, MADE_BY, MAP
from vista_sql.planning.calls import base_spec
from vista_sql.planning.context import Context
from vista_sql.planning.database import Database
from vista_sql.planning.workload import BaseTable, Relation, Workload
from vista_sql.roster import Layer
from vista_sql.sql import parse
from vista_sql.sql.calls import Call
from vista_sql.sql.dialect import SPARK

DECIDING = ("computation", "dtype", "preprocessing", "made_by")
"""What of `made_by` bits depend on."""

REMEDIES = {
    "cnn": "name that CNN",
    "weights": "give the weights that it was made with",
    "dtype": "give that dtype",
    "engine": "give that engine",
    "preprocessing": "give the resize and fit that it was made with",
    "made_by": "run where it was made",
    "computation": "name the network that it was made by",
}
"""What to do about a difference, those first of which the others follow."""


def refuse(call: Call, context: Context) -> None:
    """Check that a call names no base where there are none, or of what none is kept.

    Raises:
        ArgumentError: it does.
    """
    if call.get("base") is None:
        return
    if context.made_by is None:
        raise call.error(
            "base",
            "base => … names a table of Spark's catalog: here raw maps are in the feature store, "
            "where VISTA_MATERIALIZE keeps them and TRANSFER finds them: leave base out",
        )
    if call.get("boxes") is not None:
        raise call.error("base", "base => … is of whole images: leave out base, or boxes")


def found(
    call: Call, workload: Workload, relation: Relation, database: Database, context: Context
) -> BaseTable | None:
    """Return the base table of a call; None: it is empty.

    Args:
        call: the call.
        workload: as its other arguments say.
        relation: that its argument `base` names.
        database: is asked what the rows were made by.
        context: knows who infers.

    Raises:
        ArgumentError: it is no such table, or its maps are not those of the call's network; or the
            layers cannot be computed from them.
    """
    if lacking := {DIGEST, MAP, MADE_BY} - set(relation.columns or ()):
        raise call.error(
            "base",
            f"base => {relation.text} is no table of VISTA_MATERIALIZE: it has no column "
            f"{min(lacking)!r}",
        )
    check_images(call, workload, "base")
    texts = database.texts(f"SELECT DISTINCT {MADE_BY} FROM {relation.text}")
    tables, errors = [], []
    for text in sorted(text for text in texts if text is not None):
        try:
            layer = _layer(call, workload, relation, json.loads(text), context)
            tables.append(BaseTable(relation.text, layer, text))
        except ArgumentError as error:
            errors.append(error)
    if errors and not tables:
        raise errors[0]
    return max(tables, key=lambda one: one.layer.flops, default=None)


def check_images(call: Call, workload: Workload, argument: str) -> None:
    """Check that images are found by their bytes.

    Raises:
        ArgumentError: the image column is none of BLOBs.
    """
    column = workload.image_column or ""
    kind = (workload.images.columns or {}).get(column)
    if kind != "BLOB":
        raise call.error(
            argument,
            f"{argument} => … finds images by their bytes, and the image column {column!r} is "
            f"{kind}: give the bytes as BINARY, as binaryFile reads them",
        )


def new(call: Call, table: str, workload: Workload, database: Database) -> str:
    """Return the name of a table that is to be written, as text.

    Raises:
        ArgumentError: it is no name, or there is such a table; or images cannot be told by bytes.
    """
    check_images(call, workload, "table")
    cleaned = parse.clean_relation(table, SPARK)
    if cleaned.startswith("("):
        raise call.error("table", f"table => … must be a table's name, not {table!r}")
    try:
        database.columns(f"SELECT * FROM {cleaned}")
    except QueryError:
        return cleaned
    raise call.error("table", f"there is a table {table!r}: DROP TABLE it, or name another one")


def made_by(workload: Workload, layer: Layer, context: Context) -> str:
    """Return what raw maps of a layer are made by, in a call, as base tables have it."""
    assert context.made_by is not None  # noqa: S101 - `refuse` says so
    spec = base_spec(workload, run="", folder=context.folder, gate="")
    return context.made_by(replace(spec, layers=(layer.name,)))


def _layer(
    call: Call,
    workload: Workload,
    relation: Relation,
    stored: Mapping[str, str],
    context: Context,
) -> Layer:
    """Return the layer of maps that a call can use.

    Raises:
        ArgumentError: it cannot use them.
    """
    cnn = workload.cnn
    try:
        layer = cnn.layer(stored["layer"])
    except UnknownNameError:
        raise call.error("base", _other(relation, stored, "cnn", cnn.name)) from None
    here = json.loads(made_by(workload, layer, context))
    if any(here[name] != stored[name] for name in DECIDING):
        name = next(name for name in REMEDIES if here[name] != stored[name])
        raise call.error("base", _other(relation, stored, name, here[name]))
    starts = workload.starts_of(cnn)
    if layer.name not in starts:
        known = ", ".join(one.name for one in cnn.layers if one.name in starts)
        raise call.error(
            "base",
            f"base => {relation.text} holds raw maps of layer {layer.name!r}, from which OpenVINO "
            f"rounds otherwise in {workload.dtype} than from the image: materialize one of "
            f"{known}, or take engine => 'tensorflow'",
        )
    for tap in workload.taps:
        own, above = tap.cnn is None, tap.layer
        if own and above.name != layer.name and not cnn.determines(layer, above):
            raise call.error(
                "base",
                f"base => {relation.text} holds raw maps of layer {layer.name!r}, from which "
                f"{tap.column!r} cannot be computed: leave it out of layers, or name a base below "
                "it",
            )
    return layer


def _other(relation: Relation, stored: Mapping[str, str], name: str, here: str) -> str:
    return (
        f"base => {relation.text} holds raw maps of layer {stored['layer']!r} whose {name} is "
        f"{stored[name]!r}, and here it is {here!r}: {REMEDIES[name]}, or make the table anew with "
        "VISTA_MATERIALIZE"
    )
