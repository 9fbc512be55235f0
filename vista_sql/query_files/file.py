"""One query file, and what its configuration makes of it: name of the table, kind, key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from msgspec import Struct

from vista_sql.errors import QueryError, UnknownNameError
from vista_sql.sql.dialect import DUCKDB, Dialect

Materialized = Literal["table", "view", "incremental", "ephemeral"]
MATERIALIZED: tuple[Materialized, ...] = get_args(Materialized)
STRATEGIES = ("append", "delete+insert")

_KNOWN = (
    *("alias", "enabled", "incremental_strategy", "materialized", "schema", "tags", "unique_key"),
)
_OF_SEEDS = ("alias", "column_types", "delimiter", "enabled", "schema", "tags")
_WITHOUT_EFFECT = (
    "access",
    "contract",
    "description",
    "docs",
    "group",
    "meta",
    "persist_docs",
    "quote_columns",
)
_DBTS_ALONE = (
    *("database", "pre_hook", "post_hook", "on_schema_change", "full_refresh", "grants"),
    *("incremental_predicates", "sql_header", "quoting", "plugin", "packages", "event_time"),
)


class Said(Struct, frozen=True):
    """A value of a configuration, and the file that says so."""

    value: Any
    where: Path


Config = Mapping[str, Said]


def _is_texts(value: Any) -> bool:
    one = isinstance(value, str)
    return one or (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value))


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int)


def _are_types(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(kind, str) for kind in value.values())


_VALUES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "alias": (_is_name, "a name"),
    "column_types": (_are_types, "a type as text for each column"),
    "delimiter": (lambda value: isinstance(value, str) and len(value) == 1, "one character"),
    "enabled": (lambda value: isinstance(value, bool), "true or false"),
    "schema": (_is_name, "a name"),
    "tags": (_is_texts, "a text, or a list of texts"),
    "unique_key": (_is_texts, "a column, or a list of columns"),
}
"""What a config's value must be, where it is not NULL."""


def said_by(where: Path, key: str, value: Any) -> Said:
    """Return a config's value, and who says so.

    Raises:
        QueryError: it is no such value.
    """
    is_valid, wanted = _VALUES.get(key, (None, ""))
    if value is not None and is_valid is not None and not is_valid(value):
        raise QueryError(f"{where}: the config {key!r} must be {wanted}, not {value!r}")
    return Said(value, where)


class TableName(Struct, frozen=True):
    """A table or view by its names; printed as SQL has it."""

    identifier: str
    schema: str | None = None
    dialect: Dialect = DUCKDB

    @property
    def name(self) -> str:
        """The name, as dbt calls it too."""
        return self.identifier

    def __str__(self) -> str:
        names = (self.schema, self.identifier)
        return ".".join(self.dialect.identifier(name) for name in names if name is not None)


class QueryFile(Struct, frozen=True):
    """One file, as its configuration and its references have it."""

    name: str
    path: Path
    text: str
    materialized: Materialized
    relation: TableName
    unique_key: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # query files that it refers to, in the order of the text
    sources: tuple[TableName, ...] = ()
    enabled: bool = True
    tags: frozenset[str] = frozenset()
    is_seed: bool = False  # text: the SELECT that reads its CSV file


def configured(config: Config, name: str, *, is_seed: bool = False) -> dict[str, Any]:
    """Return the fields of a QueryFile that its configuration decides.

    Args:
        config: what is said of the file.
        name: the file's.
        is_seed: whether it is a CSV file that becomes a table.

    Raises:
        QueryError: it asks for what `vista run` does not do.
    """
    known = _OF_SEEDS if is_seed else _KNOWN
    for key, said in config.items():
        if key in _DBTS_ALONE:
            raise QueryError(
                f"{said.where}: the config {key!r} of {name} is dbt's alone: leave it out, or "
                "run this project with dbt"
            )
        if key not in (*known, *_WITHOUT_EFFECT):
            raise UnknownNameError("config", key, known, None, str(said.where))
    return {
        "materialized": "table" if is_seed else _materialized(config),
        "relation": relation(config, name),
        "unique_key": _unique_key(config, name),
        "enabled": "enabled" not in config or config["enabled"].value is not False,
        "tags": frozenset(_listed(config["tags"].value) if "tags" in config else ()),
    }


def relation(config: Config, name: str) -> TableName:
    """Return the table or view that a file becomes; a schema of its own is `main_…`, as in dbt."""
    alias = config["alias"].value if "alias" in config else None
    schema = config["schema"].value if "schema" in config else None
    return TableName(str(alias or name), f"main_{schema}" if schema else None)


def merged(base: Config, more: Config) -> dict[str, Said]:
    """Return a configuration with what says more of the same; tags add up, as dbt has it."""
    config = {**base, **more}
    for key in base.keys() & more.keys() & {"tags"}:
        config[key] = Said([*_listed(base[key].value), *_listed(more[key].value)], more[key].where)
    return {
        key: Said(_listed(said.value), said.where) if key == "tags" else said
        for key, said in config.items()
    }


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _materialized(config: Config) -> Materialized:
    """Return what a file's configuration makes of its rows."""
    said = config.get("materialized")
    if said is None:
        return "view"
    for materialized in MATERIALIZED:
        if said.value == materialized:
            return materialized
    raise UnknownNameError("materialization", str(said.value), MATERIALIZED, None, str(said.where))


def _unique_key(config: Config, name: str) -> tuple[str, ...]:
    """Return the columns whose values replace rows that are there; none: rows are appended."""
    said = config.get("incremental_strategy")
    strategy = said.value if said is not None else None
    if said is not None and strategy not in STRATEGIES:
        where = str(said.where)
        raise UnknownNameError("incremental strategy", str(strategy), STRATEGIES, None, where)
    key = config["unique_key"].value if "unique_key" in config else None
    if said is not None and strategy == "delete+insert" and not key:
        raise QueryError(
            f"{said.where}: incremental_strategy='delete+insert' of {name} needs a unique_key"
        )
    if strategy == "append" or not key:
        return ()
    return (key,) if isinstance(key, str) else tuple(key)
