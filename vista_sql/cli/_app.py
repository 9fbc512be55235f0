"""The group of all commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import traceback
import warnings
from difflib import get_close_matches
from typing import Any

import click

import vista_sql
from vista_sql import catalog
from vista_sql.cli import _interrupt
from vista_sql.errors import QueryError, UnreadableImagesWarning, VistaError

PACKAGE = "vista_sql.cli"
_DEBUG = "vista_sql.debug"  # in click's context: whether errors come with their traceback

_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "name a place that you may use, or change its permissions",
    errno.EROFS: "name a place that can be written",
    errno.ENOSPC: "free some space, or name a place that has it",
}


class Failure(click.ClickException):
    """A command cannot do what it was asked; the message says what to do. Exit code 1."""

    def show(self, file: Any = None) -> None:
        """Print the message as every error of `vista` looks."""
        click.echo(f"vista: {self.message}", err=True, file=file)


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.meta[_DEBUG] = True


DEBUG = click.Option(
    ["--debug"],
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    help="Show the traceback of an error.",
)


class Command(click.Command):
    """A command that takes `--debug`, as the group itself does."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's parameters and `--debug`."""
        return [*super().get_params(ctx), DEBUG]


class Commands(click.Group):
    """The commands that there are files of; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted: those of the files, - being _ there."""
        return [name.replace("_", "-") for name in catalog.names(PACKAGE)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name; None if there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return catalog.load(PACKAGE, cmd_name.replace("-", "_"), "COMMAND", Command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with; offer the nearest where there is none."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            close = get_close_matches(args[0], names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(names)}"
            ctx.fail(f"no such command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; end with one line and an exit code where it fails."""
        # Keras imports it, and it tells of its font cache and of a home that cannot be written.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        try:
            with _interrupt.prompt(), warnings.catch_warnings():
                warnings.simplefilter("ignore", UnreadableImagesWarning)  # told in a line of ours
                result = super().invoke(ctx)
            sys.stdout.flush()  # a pipe that was closed meanwhile shows here
            return result
        except (click.ClickException, click.exceptions.Exit):
            raise
        except BrokenPipeError:  # `| head`: the reader has what it wanted
            _drop_stdout()
            ending: Exception = click.exceptions.Exit(0)
        except (KeyboardInterrupt, click.Abort):
            click.echo(_interrupt.MESSAGE, err=True)
            ending = click.exceptions.Exit(_interrupt.EXIT_CODE)
        except Exception as error:  # every other error of every command
            show_traceback(ctx)
            ending = Failure(sentence(error))
        raise ending  # out here, where the error no longer holds on to connections


def show_traceback(context: click.Context) -> None:
    """Print the traceback of the error that is being handled, if `--debug` asks for it."""
    if context.meta.get(_DEBUG):
        click.echo(traceback.format_exc(), err=True, nl=False)


def sentence(error: Exception) -> str:
    """Return what an error says to a user: where, what, and what to do."""
    if isinstance(error, QueryError) and error.place is not None:
        width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
        return f"{error.message}\n{error.place.underline(width)}"
    if isinstance(error, VistaError) or type(error).__module__.lstrip("_").startswith("duckdb"):
        return str(error)
    if isinstance(error, OSError):
        if not error.strerror:  # Arrow's, which tells in its own words
            return str(error)
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        remedy = _REMEDIES.get(error.errno or 0)
        return f"{what}; {remedy}" if remedy else what
    if isinstance(error, MemoryError):
        return "out of memory; set VISTA_SQL_MEMORY_LIMIT to less, so that a plan keeps below it"
    return (
        f"{type(error).__name__}: {error}; this is a fault of vista_sql: please report it with the "
        "traceback that --debug shows"
    )


def _drop_stdout() -> None:
    """Let what is still to be written go nowhere, since nobody reads it."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # stdout is no descriptor


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"vista {vista_sql.__version__}")
        context.exit()


@click.group(
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `vista demo`, or with your own pictures: `vista start FOLDER LABELS.csv "
    "--label COLUMN`. `vista COMMAND --help` shows examples of each command.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the version and end.",
)
def app() -> None:
    """CNN feature transfer as SQL on DuckDB.

    Name a network, its layers and your tables in SQL, and get features or trained models. Rows go
    to stdout, everything else to stderr. Exit codes: 0 done, 1 an error, 2 wrong usage, 130
    interrupted.
    """


app.params.append(DEBUG)
