"""`vista query`: run statements and write the rows of the last one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from vista_sql.cli import _output
from vista_sql.cli._app import Command
from vista_sql.cli._statement import (
    cluster,
    database,
    nothing_in_scope,
    on_spark,
    opened,
    statement,
    tell_of_lost_models,
    tell_of_unreadable,
)
from vista_sql.progress import bar


@click.command(
    "query",
    cls=Command,
    short_help="Run SQL and write the rows.",
    epilog="""Examples:

\b
  vista query "SELECT * FROM TRANSFER(cnn => 'lenet5', images => 'photos/')" --db my.duckdb
  vista query by_layer.sql --db my.duckdb --format csv > by_layer.csv
  vista query features.sql --db my.duckdb -o features.parquet
  echo "FROM VISTA_MODELS()" | vista query - --db my.duckdb --format json
  vista query features.sql --spark spark://host:7077 -o features.parquet""",
)
@statement()
@database()
@cluster()
@_output.options
def COMMAND(
    sql: str,
    db: Path | None,
    cluster: str | None,
    format_: str | None,
    output: Path | None,
    rows: int,
) -> None:
    """Run SQL, from the command line, a FILE or stdin, and write the last statement's rows."""
    target = _output.target(format_, output)
    if cluster is not None:
        with on_spark(cluster, db) as spark:
            _output.write(spark.result(sql), target, rows)()
        return
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    with opened(db, sql) as session:
        # rows that stream onto the terminal are progress enough
        streams = target.is_text and not target.is_table and sys.stdout.isatty()
        with bar(wanted=output is not None or not streams) as progress:
            result = session.query(sql, progress=progress, scope=nothing_in_scope)
            finish = _output.write(result, target, rows)
        finish()
        tell_of_unreadable(session, began)
        if db is None:
            tell_of_lost_models(session, sql)
