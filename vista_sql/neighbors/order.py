"""What the three functions ask for, as it reaches the kernels."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, to_builtins

from vista_sql.fed_runs import order_of
from vista_sql.nearest.vectors import Metric

OTHERS = "others"
"""The relation beside the data: of queries, or of what outliers are judged by."""

FED_TYPE = "STRUCT(data BIGINT[], others BIGINT[])"
"""What `vista_finish_…` is told: of both relations the rank of each row's key, by its number."""


class NearOrder(Struct, frozen=True):
    """One call."""

    function: str  # in capitals, as messages name it
    layer: str | None = None  # None: the only one
    metric: Metric = "cosine"
    k: int = 10
    others: str = ""  # the argument that gives another relation; "": there is none
    threshold: float = 0.0  # of duplicates
    digests: str | None = None  # the column of vista_digest; None: there are no images
    places: tuple[int, int] | None = None  # height and width of a map whose places are compared
    memory_bytes: int = 0  # 0: a quarter of the machine's
    run: str = ""  # of the statement

    def to_text(self, kind: str) -> str:
        """Return the text that `vista_begin` takes, for a kind of run."""
        return order_of(kind, to_builtins(self))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> NearOrder:
        """Return the order that the fields of its JSON object are.

        >>> NearOrder.from_fields({"function": "VISTA_OUTLIERS", "places": [7, 7]}).places
        (7, 7)
        """
        places = fields.get("places")
        return cls(**{**fields, "places": None if places is None else tuple(places)})
