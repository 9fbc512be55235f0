"""`vista completion`: what makes a shell complete commands, options, CNNs and files."""

from __future__ import annotations

import click

from vista_sql.cli._app import Command, app

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    cls=Command,
    short_help="Print the completion script for your shell.",
    epilog="""Examples:

\b
  eval "$(vista completion bash)"                                    in ~/.bashrc
  eval "$(vista completion zsh)"                                     in ~/.zshrc
  vista completion fish > ~/.config/fish/completions/vista.fish""",
)
@click.argument("shell", type=click.Choice(SHELLS))
def COMMAND(shell: str) -> None:
    """Print the script that makes a shell complete what follows `vista`."""
    from click.shell_completion import get_completion_class

    make = get_completion_class(shell)
    if make is None:
        raise click.UsageError(f"click knows no shell {shell}")
    click.echo(make(app, {}, "vista", "_VISTA_COMPLETE").source())
