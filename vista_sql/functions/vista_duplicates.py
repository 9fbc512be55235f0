"""VISTA_DUPLICATES: groups of rows that show the same."""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql.functions import _near, _own_transfer
from vista_sql.functions._near import Rows
from vista_sql.functions._own_transfer import Source
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Number
from vista_sql.sql.quoting import identifier, text_literal


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of the rows of groups of two and more, a group after the other.

    Where images are not digested in SQL, vectors alone are compared: equal images have equal ones.
    """
    data = _near.data_of(call, planner)
    order = replace(
        _near.order_of(call, planner), threshold=call.get("threshold"), metric=call.get("metric")
    )
    feeding = planner.feeding(call)
    if data.source.own is not None and planner.calls_in_sql:
        digests = planner.fresh_name("digests")
        data = _with_digests(data, data.source.own, digests, feeding)
        order = replace(order, digests=digests)
    found = _near.fed("duplicates", order, [data.relation(feeding)], planner)
    (keys,) = found.keys
    return (
        f"{found.clauses}\n"
        f'SELECT one.{found.key} AS id, "group" AS group_id, '
        f"other.{found.key} AS representative_id, kind, distance\n"
        f'FROM {found.rows} JOIN {keys} AS one ON one.{found.number} = "row"\n'
        f"JOIN {keys} AS other ON other.{found.number} = representative\n"
        f"ORDER BY group_id, kind IS NOT NULL, one.{found.key}, one.{found.number}"
    )


def _with_digests(data: Rows, own: Call, column: str, planner: Planner) -> Rows:
    """Return the images of a call's TRANSFER, a row each, with their digests as one more column.

    Of the structured relation only its keys are needed: whose images are compared.
    """
    reading = planner.reading(own)
    rows = identifier(planner.fresh_name("images"))
    key = identifier(reading.key)
    image = rows if reading.image is None else f"{rows}.{identifier(reading.image)}"
    digest = (
        f"vista_digest({text_literal(reading.spec.to_text())}, {image}, "
        f"CAST({rows}.{key} AS VARCHAR))"
    )
    text = f"SELECT *, {digest} AS {identifier(column)} FROM {reading.relation} AS {rows}"
    if own.get("structured") is not None:
        structured = planner.relation(own.get("structured"), own, "structured")
        text += f" WHERE {rows}.{key} IN (SELECT {identifier(own.get('key')[0])} FROM {structured})"
    values = {name: v for name, v in own.values.items() if name not in ("structured", "join_type")}
    values |= {"images": f"({text})", "key": reading.key}
    if reading.image is not None:
        values["image"] = reading.image
    source = Source(data.source.call, replace(own, values=values))
    return replace(data, source=source, keys=(reading.key,))


FUNCTION = TableFunction(
    name="vista_duplicates",
    arguments=_own_transfer.beside(
        _near.DATA_ARGUMENT,
        _near.LAYER,
        Argument("threshold", "the largest distance of near ones", Number(0), 0.01),
        _near.KEY,
        _near.METRIC,
        _near.MEMORY,
    ),
    expand=expand,
    meaning="groups that show the same: id, group_id, representative_id, kind, distance",
)
