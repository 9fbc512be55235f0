"""`vista worker`: the process that the duckdb shell's extension talks to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from vista_sql.cli._app import Command

IDLE_SECONDS = 900.0
LOG_BYTES = 1 << 20
"""A log that is longer when a worker starts begins anew."""


@click.command(
    "worker",
    cls=Command,
    epilog="""Examples:

\b
  vista worker --log         why a shell's statement failed
  vista worker --stop        free its memory now""",
)
@click.option("--socket", type=click.Path(path_type=Path), help="The socket to listen on.")
@click.option(
    "--idle-seconds",
    type=float,
    default=IDLE_SECONDS,
    show_default=True,
    help="End after this time without a call.",
)
@click.option(
    "--memory-limit", help="Allocate at most this much memory, like 8GB; default: the machine's."
)
@click.option("--detach", is_flag=True, help="Return once it listens; its output goes to a log.")
@click.option("--stop", is_flag=True, help="End the worker that runs.")
@click.option("--log", is_flag=True, help="Print what the worker has logged.")
def COMMAND(
    socket: Path | None,
    idle_seconds: float,
    memory_limit: str | None,
    detach: bool,
    stop: bool,
    log: bool,
) -> None:
    """Run the process that plans and infers for duckdb shells.

    You need not start it: the shell's extension does when it is first used. One worker serves all
    your shells, and it ends by itself.
    """
    from vista_sql.hosts.shell import places

    places.check_system()
    path = socket or places.socket_path()
    if log:
        click.echo(_log(path).read_text(errors="replace") if _log(path).exists() else "", nl=False)
        return
    if stop:
        from vista_sql.hosts.shell import server

        click.echo("stopped" if server.stop(path) else "no worker runs", err=True)
        return
    if detach:
        places.make_private(path.parent)  # before the log opens in it
    tell = _detached(path) if detach else None
    _serve(path, idle_seconds, memory_limit, tell)


def _serve(path: Path, idle_seconds: float, memory_limit: str | None, tell: int | None) -> None:
    from vista_sql.hosts.shell import worker
    from vista_sql.settings import Settings

    limit = Settings({}).value("memory_limit", memory_limit).value

    def ready() -> None:
        if tell is None:
            click.echo(f"listening at {path}", err=True)
            return
        log = os.open(_log(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if os.fstat(log).st_size > LOG_BYTES:
            os.ftruncate(log, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.write(tell, b"ready")
        os.close(tell)

    worker.serve(path, idle_seconds, limit, ready)


def _detached(path: Path) -> int:
    """Return, in a process of a session of its own, a descriptor to write to once it listens.

    The process that was started waits for that, passing on in its exit code whether it came.
    """
    reads, writes = os.pipe()
    child = os.fork()  # no thread has been started yet
    if child == 0:
        os.close(reads)
        os.setsid()
        return writes
    os.close(writes)
    said = os.read(reads, 5)
    sys.stderr.flush()
    os._exit(0 if said == b"ready" else 1)


def _log(path: Path) -> Path:
    return path.with_suffix(".log")
