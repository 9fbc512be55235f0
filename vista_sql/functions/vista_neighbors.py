"""VISTA_NEIGHBORS: the nearest rows of each row, by the vectors of a layer."""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql.functions import _near, _own_transfer
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import RelationText


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of a row for each row and neighbour, in the order of keys and distances."""
    data = _near.data_of(call, planner)
    queries = _near.others_of(call, "queries", planner)
    order = replace(
        _near.order_of(call, planner, others="queries" if queries else ""),
        k=call.get("k"),
        metric=call.get("metric"),
    )
    feeding = planner.feeding(call)
    relations = [rows.relation(feeding) for rows in (data, queries) if rows is not None]
    found = _near.fed("neighbors", order, relations, planner)
    return (
        f"{found.clauses}\n"
        f"SELECT one.{found.key} AS id, other.{found.key} AS neighbor_id, rank, distance\n"
        f'FROM {found.rows} JOIN {found.keys[-1]} AS one ON one.{found.number} = "row"\n'
        f"JOIN {found.keys[0]} AS other ON other.{found.number} = neighbor\n"
        f"ORDER BY one.{found.key}, rank, one.{found.number}"
    )


FUNCTION = TableFunction(
    name="vista_neighbors",
    arguments=_own_transfer.beside(
        _near.DATA_ARGUMENT,
        _near.LAYER,
        _near.K,
        Argument("queries", "whose neighbours; default: those of data itself", RelationText()),
        _near.METRIC,
        _near.KEY,
        _near.MEMORY,
    ),
    expand=expand,
    meaning="exact nearest neighbours: id, neighbor_id, rank, distance",
)
