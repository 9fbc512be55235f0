"""`vista shell`: the stock duckdb shell with TRANSFER and all the rest loaded."""

from __future__ import annotations

import os
from pathlib import Path

import click

from vista_sql.cli._app import Command


@click.command(
    "shell",
    cls=Command,
    short_help="Open the duckdb shell with everything loaded.",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],  # the shell's own -noheader would be read as -h
    },
    epilog="""Examples:

\b
  vista shell foods.duckdb
  vista shell foods.duckdb -c "SELECT id, fc6 FROM TRANSFER(cnn => 'lenet5')"
  vista shell foods.duckdb -readonly -json -f statements.sql""",
)
@click.argument("database", required=False, metavar="[DB]")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARG]...")
def COMMAND(database: str | None, arguments: tuple[str, ...]) -> None:
    """Open the ordinary duckdb shell on DB, with TRANSFER and the VISTA_ functions loaded.

    ARGs are passed on to the shell.
    """
    from vista_sql.hosts.shell import places

    places.check_system()
    from vista_sql.hosts.shell import binary, build, init

    if database is not None and database.startswith("-"):
        arguments, database = (database, *arguments), None
    shell = binary.find()
    if database is not None:
        binary.check_readable(shell, Path(database))
    read = f".read '{init.written(build.built())}'"
    opened = [] if database is None else [database]
    os.execv(shell, [str(shell), "-unsigned", "-cmd", read, *opened, *arguments])
