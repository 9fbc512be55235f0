"""The progress bar: one steady line on a terminal's stderr, nothing anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Task

Progress = Callable[[int, int | None], None]
"""Called with (images done, images in all or None)."""


@contextmanager
def bar(title: str = "images", *, wanted: bool = True) -> Iterator[Progress]:
    """Show images done of all, images a second and the time left, from the first call on.

    Args:
        title: what stands before the bar.
        wanted: False where something else is written to the same terminal meanwhile.
    """
    if not wanted or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn
    from rich.progress import Progress as Bar
    from rich.table import Column
    from rich.text import Text

    class Pace(ProgressColumn):
        """Images a second, and the time that is left at that pace."""

        def render(self, task: Task) -> Text:
            if not task.completed or not task.elapsed:
                return Text("")
            rate = task.speed or task.completed / task.elapsed
            left = "" if task.total is None else f", {_clock((task.total - task.completed) / rate)}"
            return Text(f"{rate:,.0f}/s{left}")

    # A descriptor of its own: while TensorFlow loads, what goes to descriptor 2 is held back.
    with os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8") as terminal:
        console = Console(file=terminal)
        if not console.is_interactive:  # TERM=dumb
            yield lambda done, total: None
            return
        columns = (BarColumn(bar_width=None), MofNCompleteColumn(), Pace(Column(no_wrap=True)))
        with Bar(title, *columns, console=console, transient=True, expand=True) as shown:
            task = shown.add_task("", total=None, start=False, visible=False)
            started = False

            def report(done: int, total: int | None) -> None:
                nonlocal started
                if not started:
                    started = True
                    shown.start_task(task)
                shown.update(task, completed=done, total=total, visible=True)

            yield report


def _clock(seconds: float) -> str:
    """Return a time as it is read on a clock.

    Example:
        >>> _clock(75), _clock(3700)
        ('1:15 left', '1:01:40 left')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{shown} left"
