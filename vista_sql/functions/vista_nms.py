"""VISTA_NMS: of boxes that overlap, those with the highest scores."""

from __future__ import annotations

from vista_sql.errors import UnknownNameError
from vista_sql.functions._iou import CORNERS, OVERLAP, SIDES, iou_of_corners
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Names, Number, RelationText, Text
from vista_sql.sql.quoting import identifier


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of the rows that greedy non-maximum suppression keeps.

    From the highest score down, a row is kept unless its box overlaps one that was kept already by
    more than the threshold (Girshick et al., Rich feature hierarchies, 2014, section 2.1). What
    overlaps is joined first, so that the pass from the top compares places alone.
    """
    data = planner.relation(call.get("data"), call, "data")
    _check_columns(data, call, planner)
    rows, boxes, place = (identifier(planner.fresh_name(n)) for n in ("rows", "boxes", "place"))
    above, kept = (identifier(planner.fresh_name(n)) for n in ("above", "kept"))
    score, by = identifier(call.get("score")), list(map(identifier, call.get("by") or ()))
    order = ", ".join([f"{score} DESC", *map(identifier, call.get("key")), *SIDES])
    groups = [f"{column} AS by_{number}" for number, column in enumerate(by)]
    names = [f"by_{number}" for number in range(len(by))]
    alike = "".join(f" AND high.{name} IS NOT DISTINCT FROM low.{name}" for name in names)
    return (
        f"WITH {rows} AS MATERIALIZED (\n"
        f"  SELECT *, row_number() OVER (ORDER BY {order}) AS {place}\n"
        f'  FROM {data} AS "data =>" WHERE {score} IS NOT NULL\n'
        f"), {boxes} AS MATERIALIZED (\n"
        f"  SELECT {', '.join([place, *groups, *CORNERS])} FROM {rows}\n"
        f"), {above} AS (\n"
        f"  SELECT low.{place}, list(high.{place}) AS above\n"
        f"  FROM {boxes} AS low JOIN {boxes} AS high ON high.{place} < low.{place}{alike}\n"
        f"  AND {OVERLAP} AND {iou_of_corners('high', 'low')} > {call.get('threshold')!r}\n"
        f"  GROUP BY low.{place}\n"
        f"), {kept} AS (\n"
        # what a reduction returns is of its elements' type: each is what would be kept of it alone
        f"  SELECT list_reduce(list({{'kept': [{place}], 'above': above}} ORDER BY {place}), "
        "lambda so_far, next: CASE WHEN coalesce(list_has_any(so_far.kept, next.above), false) "
        "THEN so_far ELSE {'kept': list_concat(so_far.kept, next.kept), 'above': next.above} END"
        f").kept AS {kept}\n"
        f"  FROM {boxes} LEFT JOIN {above} USING ({place})"
        f"{' GROUP BY ' if names else ''}{', '.join(names)}\n"
        ")\n"
        f"SELECT * EXCLUDE ({place}) FROM {rows}\n"
        f"SEMI JOIN (SELECT unnest({kept}) AS {place} FROM {kept}) AS {kept} USING ({place})"
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
        Argument("score", "the column by which boxes win", Text("a column's name"), "score"),
        Argument("threshold", "boxes that overlap by more exclude each other", Number(0, 1), 0.5),
        Argument("by", "columns: boxes exclude those with equal values only", Names()),
        Argument("key", "of equal scores, the least key wins", Names(), "id"),
    ),
    expand=expand,
    meaning="of boxes that overlap, those with the highest scores (non-maximum suppression)",
)
