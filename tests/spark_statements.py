"""The conformance statements on a Spark Connect server, in a process of their own.

    python tests/spark_statements.py connect|sail FILE …

`connect` starts Spark's own server on this machine, `sail` one of Sail, which has no JVM. A line of
JSON for each statement says which rows it gave, or why none. A process of its own, for a session
that other tests share is classic, and a process has one kind.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sparks

import vista_sql
from vista_sql.sql.dialect import SPARK
from vista_sql.sql.parse import parse


@contextmanager
def server(kind: str) -> Iterator[str]:
    """Yield what `SparkSession.builder.remote` takes."""
    if kind == "connect":
        os.environ["PYSPARK_PYTHON"] = sys.executable
        yield "local[2]"
        return
    from pysail.spark import SparkConnectServer

    sail = SparkConnectServer("127.0.0.1", 0)
    sail.start(background=True)
    host, port = sail.listening_address
    try:
        yield f"sc://{host}:{port}"
    finally:
        sail.stop()


def main() -> None:
    kind, *files = sys.argv[1:]
    from pyspark.sql import SparkSession

    with server(kind) as url:
        builder = SparkSession.builder.remote(url)
        for name, value in sparks.QUICK.items() if kind == "connect" else ():
            builder = builder.config(name, value)
        spark = builder.getOrCreate()
        sparks.fill(spark)
        db = vista_sql.spark(spark)
        for file in map(Path, files):
            for statement in parse(file.read_text(), SPARK):
                told = {"file": file.stem, "statement": " ".join(statement.text.split())}
                text = ordered(db, statement.text) if kind == "sail" else statement.text
                print(json.dumps(told | answer(db, text)), flush=True)
        spark.stop()


def ordered(db: Any, text: str) -> str:
    """Return a statement with its columns' places for ALL, which Sail does not order by."""
    found = re.fullmatch(r"(.*)ORDER\s+BY\s+ALL(.*)", text, re.DOTALL)
    if found is None:
        return text
    bare, nulls = found.groups()
    try:
        places = range(1, len(db.query(bare).columns) + 1)
    except Exception:  # what it is shows when the statement runs
        return text
    return f"{bare}ORDER BY {', '.join(f'{place}{nulls}' for place in places)}"


def answer(db: Any, text: str) -> dict[str, Any]:
    try:
        frame = db.query(text)
        rows = [
            dict(zip(frame.columns, map(sparks.plain, row), strict=True))
            for row in sparks.rows(frame)
        ]
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:2000]}
    return {"rows": rows}


if __name__ == "__main__":
    main()
