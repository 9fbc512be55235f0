"""VISTA_OUTLIERS: how far each row is from others, by the vectors of a layer, or place by place."""

from __future__ import annotations

from msgspec.structs import replace

from vista_sql.functions import _near, _own_transfer
from vista_sql.functions._near import Rows
from vista_sql.neighbors.order import NearOrder
from vista_sql.planning import workload
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import Number, OneOf, RelationText

K = 10


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT of a row for each row of the data, the farthest first."""
    data = _near.data_of(call, planner)
    reference = _near.others_of(call, "reference", planner)
    order = _near.order_of(call, planner, others="reference" if reference else "")
    order = _compared(order, data, call)
    feeding = planner.feeding(call)
    relations = [rows.relation(feeding) for rows in (data, reference) if rows is not None]
    found = _near.fed("outliers", order, relations, planner)
    heatmap = "" if order.places is None else ", heatmap"
    return (
        f"{found.clauses}\n"
        f"SELECT one.{found.key} AS id, score, row_number() OVER (ORDER BY score DESC NULLS LAST, "
        f"one.{found.key}, one.{found.number}) AS rank, other.{found.key} AS nearest_id{heatmap}\n"
        f'FROM {found.rows} JOIN {found.keys[0]} AS one ON one.{found.number} = "row"\n'
        f"LEFT JOIN {found.keys[-1]} AS other ON other.{found.number} = nearest\n"
        f"ORDER BY rank"
    )


def _compared(order: NearOrder, data: Rows, call: Call) -> NearOrder:
    """Return an order with what is compared: rows, or the places of a map.

    Raises:
        ArgumentError: an argument is at odds with that.
    """
    places = _places(data)
    if places is None:
        return replace(order, k=call.get("k") or K, metric=call.get("metric") or "cosine")
    if (call.get("k") or 1) != 1:
        raise call.error(
            "k", "with pool => 'none' a place is as far as its nearest one: leave k out"
        )
    if (call.get("metric") or "l2") != "l2":
        raise call.error("metric", "with pool => 'none' places are compared by 'l2'")
    return replace(order, k=1, metric="l2", places=places)


def _places(data: Rows) -> tuple[int, int] | None:
    """Return height and width of the maps that a TRANSFER of a call's own returns unpooled."""
    own = data.source.own
    if own is None or own.get("pool") != "none":
        return None
    cnn = workload.load_cnn(own)
    (name,) = workload.layer_names(own, cnn)
    shape = cnn.layer(name).shape
    return (shape[0], shape[1]) if len(shape) == 3 else None


FUNCTION = TableFunction(
    name="vista_outliers",
    arguments=_own_transfer.beside(
        _near.DATA_ARGUMENT,
        _near.LAYER,
        Argument("k", f"the score is the distance to the k-th; default {K}", Number(1, whole=True)),
        Argument("reference", "what is usual; default: the other rows of data", RelationText()),
        _near.KEY,
        Argument("metric", "of distances; default 'cosine'", OneOf(("cosine", "l2"))),
        _near.MEMORY,
    ),
    expand=expand,
    meaning="distance to the k-th neighbour: id, score, rank, nearest_id; of maps their places'",
)
