"""VISTA_RANK_SOURCES: scores of networks' layers over labelled rows, a result row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vista_sql.fed_runs import FedKind

if TYPE_CHECKING:  # what a kind runs on is imported by the first run
    from vista_sql.ranking.run import RankRun

FIELDS = (
    ("cnn", "VARCHAR", pa.string()),
    ("weights", "VARCHAR", pa.string()),
    ("layer", "VARCHAR", pa.string()),
    ("knn_accuracy", "DOUBLE", pa.float64()),
    ("h_score", "DOUBLE", pa.float64()),
    ("logme", "DOUBLE", pa.float64()),
    ("leep", "DOUBLE", pa.float64()),
    ("nce", "DOUBLE", pa.float64()),
    ("p2l", "DOUBLE", pa.float64()),
    ("n", "BIGINT", pa.int64()),
    ("seconds", "DOUBLE", pa.float64()),
    ("f1_score", "DOUBLE", pa.float64()),
    ("regret", "MAP(VARCHAR, DOUBLE)", pa.map_(pa.string(), pa.float64())),
    ("warning", "VARCHAR", pa.string()),
)
"""Columns of VISTA_RANK_SOURCES's result, in their order: name, SQL type, Arrow type."""


def begin(fields: dict[str, Any]) -> RankRun:
    """Return a ranking."""
    from vista_sql.ranking.run import RankRun
    from vista_sql.ranking.spec import RankSpec

    return RankRun(RankSpec.from_fields(fields))


KIND = FedKind(begin, FIELDS)
