"""Spark in tests: one small session for all of them, with the foods of foods.py as its views."""

from __future__ import annotations

import math
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import foods
import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUICK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",  # little of it runs twice
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.log.level": "OFF",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.showConsoleProgress": "false",
}
"""Settings of a small session that says nothing."""

TABLES = ("images", "foods", "other", "cats")


@contextmanager
def session(master: str = "local[2]", **settings: str) -> Iterator[SparkSession]:
    """Yield a session whose Python workers are this Python, which has the package."""
    if shutil.which("java") is None:
        pytest.skip("there is no Java")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        from pyspark.sql import SparkSession

    folder = tempfile.mkdtemp(prefix="vista-spark-")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    given = {**QUICK, "spark.sql.warehouse.dir": str(Path(folder, "warehouse")), **settings}
    builder = SparkSession.builder.master(master).appName("vista_sql tests")
    for name, value in given.items():
        builder = builder.config(name, value)
    with chdir(folder):  # relative paths are its JVM's, which stays there
        spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()
        shutil.rmtree(folder, ignore_errors=True)


def folder_of(spark: SparkSession) -> Path:
    """Return the folder in which a session began."""
    return Path(spark.conf.get("spark.sql.warehouse.dir").removeprefix("file:")).parent


def fill(spark: SparkSession) -> None:
    """Make the tables of foods.py views of a session."""
    with duckdb.connect() as con:
        foods.fill(con)
        for name in TABLES:
            view(spark, name, con.sql(f"SELECT * FROM {name}").to_arrow_table())


def view(spark: SparkSession, name: str, table: Any) -> None:
    """Make an Arrow table a view of a session."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        spark.createDataFrame(table).createOrReplaceTempView(name)


def rows(frame: Any) -> list[tuple[Any, ...]]:
    """Return a DataFrame's rows, collected as Arrow, whose floats keep their bits."""
    table = frame.toArrow()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def plain(value: Any) -> Any:
    """Return a value of Spark's as JSON has it."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return str(value) if isinstance(value, (Decimal, date)) else shown(value)


def shown(value: Any) -> Any:
    """Return a value as JSON has it, which knows no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
