"""`vista doctor`: what is here, whether it works, and what to do about what does not."""

from __future__ import annotations

import click

from vista_sql.cli._app import Command, Failure

NAME_WIDTH = 24
MARKS = {"ok": " ", "note": "!", "broken": "✗"}


@click.command(
    "doctor",
    cls=Command,
    short_help="Check the installation.",
    epilog="""Examples:

\b
  vista doctor
  vista doctor --calibrate resnet50 vgg16""",
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Only measure the speed of this machine and of the CNNs again.",
)
@click.argument("cnns", metavar="[CNN]...", nargs=-1)
def COMMAND(calibrate: bool, cnns: tuple[str, ...]) -> None:
    """Check the installation: versions, machine, settings, weights, a sample inference.

    Lines marked ! are worth knowing, those marked ✗ are broken; each has its remedy below it. The
    exit code is 1 if something is broken.

    With --calibrate, it measures how fast this machine and the CNNs are (those named, or all that
    were used here before), and keeps the results for choosing plans. Leave the machine idle
    meanwhile.
    """
    from vista_sql import doctor

    if cnns and not calibrate:
        raise click.UsageError("name CNNs only together with --calibrate")
    group, broken = "", []
    for finding in doctor.calibrate(cnns) if calibrate else doctor.examine():
        if finding.group != group:
            group = finding.group
            click.secho(group, bold=True)
        click.echo(f"{MARKS[finding.state]} {finding.name:<{NAME_WIDTH}} {finding.value}")
        if finding.remedy:
            click.echo(f"  {'':<{NAME_WIDTH}} → {finding.remedy}")
        if finding.state == "broken":
            broken.append(finding.name)
    if broken:
        things = "1 thing is" if len(broken) == 1 else f"{len(broken)} things are"
        raise Failure(f"{things} broken, marked {MARKS['broken']} above with what to do")
