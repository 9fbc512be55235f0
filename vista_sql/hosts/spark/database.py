"""What a Spark session tells planning: columns, tables, counts, values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import DataFrame, SparkSession

from vista_sql.errors import QueryError
from vista_sql.hosts.spark.types import duckdb_type
from vista_sql.kernels import AtHand

Answer = TypeVar("Answer")


class SparkDatabase:
    """What planning asks of one session, `planning.database.Database`."""

    def __init__(self, spark: SparkSession, args: Mapping[str, Any] | None = None) -> None:
        self._spark, self._args = spark, dict(args or {}) or None

    def columns(self, query: str) -> Mapping[str, str]:
        """Return a query's columns; raise QueryError where Spark does not resolve it."""
        schema = asked(lambda: self._sql(query).schema)
        return {field.name: duckdb_type(field.dataType) for field in schema.fields}

    def glimpse(self, relation: str) -> Mapping[str, str] | None:
        """Return None: `columns` tells all there is."""
        return None

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables and views of the current schema."""
        return tuple(sorted(table.name for table in self._spark.catalog.listTables()))

    def value(self, expression: str) -> Any:
        """Return the value of a constant expression, the statement's parameters included."""
        return self._row(f"SELECT {expression}")[0]

    def counts(self, query: str) -> tuple[float | None, ...]:
        """Return the one row of numbers that a query gives."""
        return self._row(query)

    def texts(self, query: str) -> Sequence[str | None]:
        """Return the values of a query's one column."""
        return [row[0] for row in asked(lambda: self._sql(query).collect())]

    def images_at_hand(self, query: str, schemes: str) -> AtHand:
        """Return nothing: images are the executors' to read."""
        return AtHand()

    def image_digests(self, query: str, schemes: str) -> Sequence[bytes]:
        """Return nothing: images are the executors' to read."""
        return ()

    def views(self) -> Mapping[str, str]:
        """Return no definitions: Spark Connect does not tell them."""
        return {}

    def has_usual_order(self) -> bool:
        """Return True: statements are read and printed as Spark's, whose order cannot be set."""
        return True

    def has_collations(self) -> bool:
        """Return False: a column keeps its collation on its way through the kernels."""
        return False

    def plan(self, query: str) -> str:
        """Raise QueryError: what Spark says of a plan is for people."""
        raise QueryError("plans of Spark are not read")

    def _sql(self, query: str) -> DataFrame:
        return self._spark.sql(query, self._args)

    def _row(self, query: str) -> tuple[Any, ...]:
        return tuple(asked(lambda: self._sql(query).collect())[0])


def asked(question: Callable[[], Answer]) -> Answer:
    """Return what Spark answers.

    Raises:
        QueryError: it does not; in one sentence of its own words.
    """
    try:
        with unlogged():
            return question()
    except Exception as error:  # Spark's own, or Java's as the bridge to it wraps it
        raise QueryError(said(error)) from error


def said(error: Exception) -> str:
    """Return the first sentence of an error of Spark's, without its place in generated text."""
    if isinstance(error, PySparkException) and error.getCondition() == "TABLE_OR_VIEW_NOT_FOUND":
        name = (error.getMessageParameters() or {}).get("relationName", "")
        return f"table {name} does not exist"
    text = str(error).strip()
    causes = re.findall(r"^Caused by: [\w.$]+: (.+)$", text, re.MULTILINE)
    first = re.sub(r"^\[[A-Z_.]+\] ", "", causes[-1] if causes else text.partition("\n")[0])
    return re.sub(r" SQLSTATE: \w+.*$", "", first) or type(error).__name__


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep quiet what Spark logs of an error that is ours to tell."""
    logger = PySparkLogger.getLogger("SQLQueryContextLogger")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
