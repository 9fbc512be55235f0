"""How columns of narrow rows travel where a host hands the rows out itself, through Arrow.

Arrow has not all of DuckDB's types: an ENUM comes back as VARCHAR and sorts otherwise, a HUGEINT as
DECIMAL, a UHUGEINT as another number, and no column keeps its collation. What is not certain to
come back with its type and value travels as text, from which a cast restores it; and where that is
not certain, the rows do not travel: the call is one SELECT, bound in the user's statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from vista_sql.planning.database import Database
from vista_sql.planning.workload import Workload
from vista_sql.sql.types import made_of, rebuilt

Way = Literal["as it is", "as text", "not at all"]

_AS_IT_IS = frozenset({
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
    "UBIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB",
})  # fmt: skip

_AS_TEXT = frozenset({
    "UUID", "JSON", "BIT", "HUGEINT", "UHUGEINT", "BIGNUM", "INTERVAL", "DATE", "TIME", "TIME_NS",
    "TIME WITH TIME ZONE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
})  # fmt: skip
"""Types whose text DuckDB reads back as the same value, the infinite ones too. TIMESTAMP WITH TIME
ZONE is none: local times before standard time lose the seconds of their offset."""


def way(kind: str) -> Way:
    """Return how values of a DuckDB type travel.

    Example:
        >>> for kind in ("INTEGER", "DECIMAL(9,2)", "FLOAT[84]", "STRUCT(a INTEGER, b VARCHAR[])"):
        ...     print(way(kind))
        as it is
        as it is
        as it is
        as it is
        >>> [way(kind) for kind in ("ENUM('a', 'b')", "UUID", "UUID[]", "STRUCT(a DATE)", "mood")]
        ['as text', 'as text', 'not at all', 'not at all', 'not at all']
    """
    if kind in _AS_TEXT or re.fullmatch(r"ENUM\(.*\)", kind, re.DOTALL):
        return "as text"
    return "as it is" if _survives(kind) else "not at all"


def _survives(kind: str) -> bool:
    """Return whether Arrow has a type and all that it is made of."""
    if re.search(r"\b(UNION|TUPLE)\(", rebuilt(kind, lambda leaf: "")):
        return False
    return all(
        leaf in _AS_IT_IS or re.fullmatch(r"DECIMAL\(\d+,\d+\)", leaf) for leaf in made_of(kind)
    )


class Ways(Struct, frozen=True):
    """How the columns of a call's narrow rows travel."""

    columns: Mapping[str, Way]  # structured ones that the statement uses
    key: Way


NO_WAYS = Ways({}, "as it is")
"""Of rows that do not travel: they are read in the statement itself."""


def ways(workload: Workload, *, before: bool) -> Ways:
    """Return how the narrow rows of a call travel; inferred before the join, only keys do."""
    columns = {} if before else {name: way(kind) for name, kind in types(workload).items()}
    return Ways(columns, way(key_type(workload, before=before)))


def types(workload: Workload) -> dict[str, str]:
    """Return the DuckDB types of the narrow columns that the statement uses, by name."""
    used = workload.needs.columns
    return {
        name: kind
        for name, kind in (workload.narrow_columns or {}).items()
        if used is None or name.lower() in used
    }


def key_type(workload: Workload, *, before: bool = False) -> str:
    """Return the DuckDB type of the key in the narrow rows; "" where it is not known."""
    structured = None if before else workload.structured
    if structured is None:
        return (workload.images.columns or {}).get(workload.image_key, "")
    return (structured.columns or {}).get(workload.structured_key, "")


def is_certain(workload: Workload, database: Database, clause: str = "") -> bool:
    """Return whether narrow rows come back from Arrow as they were: values, types, collations.

    Args:
        workload: with what the statement needs of it.
        database: knows whether any column may have a collation.
        clause: of the CTEs that the call's relations can name.
    """
    kinds = [*types(workload).values(), key_type(workload), key_type(workload, before=True)]
    if any(way(kind) == "not at all" for kind in kinds):
        return False
    if not any("VARCHAR" in kind for kind in kinds):
        return True
    relations = (workload.images, workload.structured)
    texts = [clause, *(relation.text for relation in relations if relation is not None)]
    if any("collate" in text.lower() for text in texts):
        return False
    return not database.has_collations()
