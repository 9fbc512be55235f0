"""`vista extension`: what the duckdb shell loads."""

from __future__ import annotations

from pathlib import Path

import click

from vista_sql.cli._app import Command


@click.command(
    "extension",
    cls=Command,
    short_help="Build and install the extension of the duckdb shell.",
    epilog="""Actions:

\b
  init     print the path of a file of SQL: .read it in a shell begun with -unsigned
  build    compile the extension anew, with this machine's C compiler, and print its path
  install  have every duckdb shell of yours read that file: a line for ~/.duckdbrc

Example:

\b
  duckdb -unsigned -init "$(vista extension init)" my.duckdb""",
)
@click.argument("action", type=click.Choice(["init", "build", "install"]))
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="A folder (build)."
)
@click.option("--yes", is_flag=True, help="Do not ask (install).")
def COMMAND(action: str, output: Path | None, yes: bool) -> None:
    """Build and install the extension that gives the duckdb shell these functions."""
    from vista_sql.hosts.shell import places

    places.check_system()
    from vista_sql.hosts.shell import build, init

    if output is not None and action != "build":
        raise click.UsageError("--output is for `vista extension build`")
    if action == "build":
        click.echo(build.built(output or build.own().parent))
        return
    extension = build.built()
    if action == "init":
        click.echo(init.written(extension))
        return
    line = init.resource_line(extension)
    resource = Path("~/.duckdbrc").expanduser()
    text = resource.read_text() if resource.exists() else ""
    if line in text.splitlines():
        click.echo(f"{resource} has it already: {line}", err=True)
        return
    click.echo(f"to be added to {resource}:\n\n{line}\n", err=True)
    click.echo(
        "It takes effect in shells started with `duckdb -unsigned`, and in no others.", err=True
    )
    if yes or click.confirm("Add it?", err=True):
        resource.write_text(text + ("" if not text or text.endswith("\n") else "\n") + f"{line}\n")
        click.echo(f"added; take the line out of {resource} to undo it", err=True)
