"""The boxes of a TRANSFER → the relation whose rows they are, and the plans that can run them.

Boxes stand where the structured relation does, joined with it where there is one: what a statement
asks of a box, a predicate or an order, runs below inference as what it asks of any column.
"""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql.errors import PlanError
from vista_sql.planning.plans import Infer, Stage
from vista_sql.planning.workload import Relation, Workload
from vista_sql.settings import Value, alternatives
from vista_sql.sql.calls import Call
from vista_sql.sql.dialect import Dialect

FIELDS = ("x", "y", "width", "height")
"""The columns of a box: left, top and size, in pixels of the upright image."""

_NUMBERS = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL"),
    '"NULL"',
)


def beside(
    call: Call, structured: Relation | None, boxes: Relation, box_column: str, dialect: Dialect
) -> Relation:
    """Return the relation of the boxes, joined with the structured one where there is one.

    Args:
        call: the call.
        structured: the structured relation.
        boxes: has the image key, and `FIELDS`.
        box_column: the name of one more column, STRUCT(x, y, width, height) of DOUBLE.
        dialect: of the texts.

    Raises:
        UnknownNameError: the boxes have no such column.
        ArgumentError: a column of theirs is no number, or is one of the structured relation's too.

    Example: of boxes alone
        >>> from vista_sql.sql.dialect import DUCKDB
        >>> columns = {"id": "INTEGER", **dict.fromkeys(FIELDS, "INTEGER"), "label": "VARCHAR"}
        >>> call = Call("transfer", {"boxes": "boxes"}, {})
        >>> print(beside(call, None, Relation("boxes", columns), "box", DUCKDB).text)
        (SELECT "boxes =>".*, {'x': CAST("boxes =>"."x" AS DOUBLE), \
'y': CAST("boxes =>"."y" AS DOUBLE), 'width': CAST("boxes =>"."width" AS DOUBLE), \
'height': CAST("boxes =>"."height" AS DOUBLE)} AS box FROM boxes AS "boxes =>")
    """
    quoted, alias = dialect.identifier, dialect.identifier("boxes =>")
    structured_key, image_key = call.get("key")
    key = boxes.column(image_key, call, "boxes", "boxes")
    fields = {name: boxes.column(name, call, "boxes", "boxes") for name in FIELDS}
    _check_numbers(call, boxes, fields)
    values = {name: f"CAST({alias}.{quoted(of)} AS DOUBLE)" for name, of in fields.items()}
    box = f"{dialect.struct(values)} AS {box_column}"
    if structured is None:
        text = f"(SELECT {alias}.*, {box} FROM {boxes.text} AS {alias})"
        return replace(boxes, text=text)
    other = dialect.identifier("structured =>")
    structured_key = structured.column(structured_key, call, "key", "structured")
    _refuse_collisions(call, structured, boxes, key)
    shown = f"{alias}.* EXCLUDE ({quoted(key)})"
    if boxes.columns is not None:
        shown = ", ".join(f"{alias}.{quoted(name)}" for name in boxes.columns if name != key)
    text = (
        f"(SELECT {other}.*, {shown}, {box} "
        f"FROM {structured.text} AS {other} JOIN {boxes.text} AS {alias} "
        f"ON {other}.{quoted(structured_key)} = {alias}.{quoted(key)})"
    )
    columns = None
    if structured.columns is not None and boxes.columns is not None:
        added = {name: kind for name, kind in boxes.columns.items() if name != key}
        columns = {**structured.columns, **added}
    is_computed = structured.is_computed or boxes.is_computed
    return replace(boxes, text=text, columns=columns, is_computed=is_computed)


def _check_numbers(call: Call, boxes: Relation, fields: dict[str, str]) -> None:
    for column in fields.values():
        kind = (boxes.columns or {}).get(column, "DOUBLE")
        if not kind.removeprefix("U").startswith(_NUMBERS):
            raise call.error(
                "boxes",
                f"column {column!r} of boxes is {kind}, and a box's x, y, width and height are "
                "numbers, in pixels of the upright image",
            )


def _refuse_collisions(call: Call, structured: Relation, boxes: Relation, key: str) -> None:
    there = {name.lower() for name in structured.columns or {}}
    for name in boxes.columns or {}:
        if name != key and name.lower() in there:
            raise call.error(
                "boxes",
                f"boxes and structured both have a column {name!r}: leave it out of one, or call "
                f"it otherwise, as boxes => $$SELECT * RENAME ({name} AS box_{name}) FROM …$$",
            )


def refuse(call: Call) -> None:
    """Refuse boxes where images are looked at as a whole.

    Raises:
        ArgumentError: a TRANSFER call has boxes; or a model that it serves was trained with them.
    """
    if call.get("boxes") is not None:
        raise call.error(
            "boxes",
            "whole images are looked at here, and boxes => … (or a model that was trained with "
            "them) asks for parts: take TRANSFER, VISTA_TRAIN, VISTA_PREDICT or VISTA_NEIGHBORS",
        )


def can_run(workload: Workload, stages: tuple[Stage, ...]) -> bool:
    """Return whether stages can make a workload's features: boxes are pooled as maps are made."""
    makes_maps = any(isinstance(stage, Infer) and stage.form == "maps" for stage in stages)
    return not (workload.pools_boxes and makes_maps)


def check_plan(workload: Workload, plan: Value) -> None:
    """Check that a plan that was asked for can run a workload.

    Raises:
        PlanError: it keeps maps from stage to stage.
    """
    able = ("fused", "distinct", "lazy")
    if workload.pools_boxes and plan.value is not None and plan.value not in able:
        raise PlanError(
            f"plan {plan.value!r} (from {plan.source}) hands whole maps from stage to stage, and "
            f"region => {workload.region!r} pools the boxes of a map as it is made: take plan => "
            f"{alternatives(able)}"
        )


def words(workload: Workload) -> str:
    """Return what becomes of a workload's boxes, for people."""
    if workload.pools_boxes:
        return f"one map an image, each box pooled from it by {workload.pool}"
    return "each box is cut out and is an image of its own"
