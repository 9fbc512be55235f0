"""`vista run --spark`: a query file's SELECT → a table or view of a Spark session.

A table is made under another name and then takes its own, so that the old one stays where the new
one fails. A view is a temporary one: it goes with the session.
"""

from __future__ import annotations

import time

from msgspec.structs import replace

from vista_sql.errors import QueryError, VistaError
from vista_sql.hosts.spark.database import said
from vista_sql.hosts.spark.session import Spark
from vista_sql.query_files import Project, QueryFile, TableName, materializations
from vista_sql.sql.dialect import SPARK
from vista_sql.units import format_count

NEW, ALL = "__vista_new", "__vista_all"
"""Ends of names of tables that are being made: new rows, and old and new ones."""


def stored(spark: Spark, project: Project, name: str, *, full_refresh: bool) -> str:
    """Store one file's rows; return the line's end that says how.

    Raises:
        VistaError: what the file needs is not there, or it cannot be stored on Spark.
    """
    try:
        return _stored(spark, project, name, full_refresh=full_refresh)
    except VistaError:
        raise
    except Exception as error:  # Spark's own, or Java's as the bridge to it wraps it
        raise QueryError(said(error)) from error


def _stored(spark: Spark, project: Project, name: str, *, full_refresh: bool) -> str:
    file = project.file(name)
    for other in file.needs:
        needed = project.file(other)
        if needed.materialized != "ephemeral" and not _exists(spark, needed):
            raise QueryError(
                f"it needs {other}, which is not there yet: add --select +{name}, or run "
                f"{needed.path} first"
            )
    clock = time.perf_counter()
    if file.materialized == "view":
        if file.relation.schema is not None:
            raise QueryError(
                "a view is a temporary one on Spark, and has no schema: leave schema out, or give "
                "config(materialized='table')"
            )
        spark.query(project.render(name)).createOrReplaceTempView(file.relation.identifier)
        return "view, while this runs"
    adds = file.materialized == "incremental" and _exists(spark, file) and not full_refresh
    before = _rows(spark, file.relation) if adds else 0
    sql = project.render(name, incremental=adds)
    if not adds:
        materializations.check_reads(file, sql, SPARK)
    try:
        _make(spark, file, sql, adds=adds)
    finally:
        for end in (NEW, ALL):
            spark.query(f"DROP TABLE IF EXISTS {_called(file.relation, end)}")
    n_rows = _rows(spark, file.relation) - before
    rows = f"{'+' if adds and n_rows >= 0 else ''}{format_count(n_rows, 'row')}"
    kind = "seed" if file.is_seed else file.materialized
    return f"{kind}, {rows}, {time.perf_counter() - clock:.1f} s"


def _make(spark: Spark, file: QueryFile, sql: str, *, adds: bool) -> None:
    new, name = _called(file.relation, NEW), _called(file.relation)
    if file.relation.schema is not None:
        spark.query(f"CREATE SCHEMA IF NOT EXISTS {SPARK.identifier(file.relation.schema)}")
    if file.is_seed:
        spark.seed(sql, new)
    else:
        spark.query(f"CREATE TABLE {new} USING parquet AS {sql}")
    if adds:
        columns = spark.spark.table(name).columns
        materializations.check_columns(file, spark.spark.table(new).columns, columns)
        whole = _called(file.relation, ALL)
        listed = ", ".join(map(SPARK.identifier, columns))
        others = f"SELECT {listed} FROM {name}"
        if file.unique_key:
            keys = ", ".join(map(SPARK.identifier, file.unique_key))
            others += f" LEFT ANTI JOIN {new} USING ({keys})"
        added = f"{others} UNION ALL SELECT {listed} FROM {new}"
        spark.query(f"CREATE TABLE {whole} USING parquet AS {added}")
        new = whole
    spark.query(f"DROP TABLE IF EXISTS {name}")
    spark.query(f"ALTER TABLE {new} RENAME TO {name}")


def _called(relation: TableName, end: str = "") -> str:
    return str(replace(relation, identifier=relation.identifier + end, dialect=SPARK))


def _exists(spark: Spark, file: QueryFile) -> bool:
    return bool(spark.spark.catalog.tableExists(_called(file.relation)))


def _rows(spark: Spark, relation: TableName) -> int:
    return int(spark.spark.table(_called(relation)).count())
