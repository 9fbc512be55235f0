"""VISTA_NMS: of boxes that overlap, those with the highest scores."""

from __future__ import annotations

from vista_sql.errors import UnknownNameError
from vista_sql.functions._iou import SIDES
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Names, Number, RelationText, Text
from vista_sql.sql.quoting import identifier


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of the rows that greedy non-maximum suppression keeps.

    From the highest score down, a row is kept unless its box overlaps one that was kept already by
    more than the threshold (Girshick et al., Rich feature hierarchies, 2014, section 2.1). NaN
    scores come last.
    """
    data = planner.relation(call.get("data"), call, "data")
    _check_columns(data, call, planner)
    rows, place, groups, kept = (
        identifier(planner.fresh_name(name)) for name in ("rows", "place", "groups", "kept")
    )
    score, by = identifier(call.get("score")), list(map(identifier, call.get("by") or ()))
    falling = [f"isnan({score}::DOUBLE)", f"{score} DESC"]
    order = ", ".join([*falling, *map(identifier, call.get("key")), *SIDES])
    box = ", ".join(f"'{side}': {side}::DOUBLE" for side in SIDES)
    alike = f" GROUP BY {', '.join(by)}" if by else ""
    return (
        f"WITH {rows} AS MATERIALIZED (\n"
        f"  SELECT *, row_number() OVER (ORDER BY {order}) AS {place}\n"
        f'  FROM {data} AS "data =>" WHERE {score} IS NOT NULL\n'
        f"), {groups} AS (\n"
        f"  SELECT list({place} ORDER BY {place}) AS {place},\n"
        f"    list({{{box}}} ORDER BY {place}) AS {groups}\n"
        f"  FROM {rows}{alike}\n"
        f"), {kept} AS (\n"
        f"  SELECT unnest(list_select({place}, "
        f"vista_nms_kept({groups}, {call.get('threshold')!r}::DOUBLE))) AS {place} FROM {groups}\n"
        ")\n"
        f"SELECT * EXCLUDE ({place}) FROM {rows} SEMI JOIN {kept} USING ({place})"
    )


def _check_columns(data: str, call: Call, planner: Planner) -> None:
    """Check that the data has what the call names, and boxes of numbers.

    Raises:
        UnknownNameError, ArgumentError: it has not, and that can be seen.
    """
    columns = planner.columns(data)
    if columns is None:  # then DuckDB says so
        return
    kinds = {name.lower(): kind for name, kind in columns.items()}
    score = call.get("score")
    named = {"score": (score,), "by": call.get("by") or (), "key": call.get("key"), "data": SIDES}
    for argument, names in named.items():
        for name in names:
            if name.lower() not in kinds:
                kind = "column" if argument == "data" else f"{argument} column"
                raise UnknownNameError(
                    kind, name, tuple(columns), call.place(argument),
                    where="the data of VISTA_NMS", argument=argument,
                )  # fmt: skip
    for name in (score, *SIDES):
        if kinds[name.lower()] == "VARCHAR":
            raise call.error(
                "score" if name == score else "data",
                f"column {name!r} of the data of VISTA_NMS is VARCHAR, and a score and a box's x, "
                "y, width and height are numbers: cast it",
            )


FUNCTION = TableFunction(
    name="vista_nms",
    arguments=(
        Argument("data", "boxes: x, y, width, height and a score", RelationText(), required=True),
        Argument(
            "score",
            "the column by which boxes win",
            Text("a column's name", may_be_empty=False),
            "score",
        ),
        Argument("threshold", "boxes that overlap by more exclude each other", Number(0, 1), 0.5),
        Argument("by", "columns: boxes exclude those with equal values only", Names()),
        Argument("key", "of equal scores, the least key wins", Names(), "id"),
    ),
    expand=expand,
    meaning="of boxes that overlap, those with the highest scores (non-maximum suppression)",
)
