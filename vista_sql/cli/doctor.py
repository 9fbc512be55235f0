"""`vista doctor`: what is here, whether it works, and what to do about what does not."""

from __future__ import annotations

import click

from vista_sql.cli._app import Command, Failure

NAME_WIDTH = 24
MARKS = {"ok": " ", "note": "!", "broken": "✗"}


@click.command("doctor", cls=Command)
def COMMAND() -> None:
    """Check the installation: versions, machine, settings, weights, a sample inference.

    Lines marked ! are worth knowing, those marked ✗ are broken; each has its remedy below it. The
    exit code is 1 if something is broken.
    """
    from vista_sql import doctor

    group, broken = "", 0
    for finding in doctor.examine():
        if finding.group != group:
            group = finding.group
            click.secho(group, bold=True)
        click.echo(f"{MARKS[finding.state]} {finding.name:<{NAME_WIDTH}} {finding.value}")
        if finding.remedy:
            click.echo(f"  {'':<{NAME_WIDTH}} → {finding.remedy}")
        broken += finding.state == "broken"
    if broken:
        things = "1 thing is" if broken == 1 else f"{broken} things are"
        raise Failure(f"{things} broken, marked {MARKS['broken']} above with what to do")
