"""How far a statement is: what a `progress=` callback is told, and a bar that shows it.

The bar is one line on a terminal's stderr or under a notebook's cell, and nothing anywhere else.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from html import escape
from typing import TYPE_CHECKING, Any, TextIO, cast

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import ProgressWarning
from vista_sql.kernels import Counts
from vista_sql.units import format_count

if TYPE_CHECKING:
    from rich.progress import Task

STAGES = ("load", "infer", "train", "finish")
EVERY_SECONDS = 0.2  # a callback is called at most so often


class Progress(Struct, frozen=True):
    """How far a statement is, over all its TRANSFERs."""

    stage: str  # 'load' the networks, 'infer', 'train' (later passes), 'finish'
    done: int  # rows whose features are there
    total: int | None  # rows in all; None where that is unknown
    inferred: int  # images that a network saw: neither shared, nor from memory or a store
    errors: int  # images that cannot be read
    busy_seconds: float  # since rows flow, without loading networks
    before: int = 0  # rows that were done before the first image was inferred

    @property
    def per_second(self) -> float | None:
        """Images a second: of those inferred, where any is, else of all; None before the first.

        What was there before, as after an interrupted run, counts as done and not as speed.
        """
        counted = self.inferred or self.done
        return counted / self.busy_seconds if counted and self.busy_seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last row, at the pace since the first image; None: unknown."""
        since = self.done - self.before
        if self.total is None or since <= 0:
            return None
        return (self.total - self.done) * self.busy_seconds / since


Report = Callable[[Progress], None]


def nothing(progress: Progress) -> None:
    """Report nothing."""


class Watch:
    """Watches one statement while it runs, and reports what changed; safe in any thread."""

    def __init__(
        self, report: Report, counts: Callable[[], Counts], *, calls: int, trains: bool
    ) -> None:
        """Prepare for a statement; its first rows begin the watch.

        Args:
            report: the user's callback.
            counts: returns what the kernels have counted for the statement.
            calls: how many TRANSFERs there are; of several the kernels' rows cannot be added up.
            trains: whether models are trained once all rows are there.
        """
        self._report, self._counts, self._calls, self._trains = report, counts, calls, trains
        self._handed_out = 0
        self._total: int | None = None
        self._before = 0
        self._last: Progress | None = None
        self._began = time.perf_counter()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._failure: Exception | None = None  # of the callback, which is then called no more
        self._thread: threading.Thread | None = None

    def rows(self, handed_out: int, total: int | None) -> None:
        """Take note of how many rows the engine has handed out, of how many (None: unknown)."""
        if self._report is nothing:
            return
        self._handed_out, self._total = handed_out, total
        if self._thread is None:
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Report that all rows are there."""
        if self._thread is not None:
            self.stop()
            done = self._handed_out if self._total is None else self._total
            self._tell(replace(self._now(), stage="finish", done=done))
            self._warn()

    def stop(self) -> None:
        """Watch no longer; warn, once, where the callback raised an error."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._warn()

    def _look(self) -> None:
        self._tell(self._now())
        while not self._ended.wait(EVERY_SECONDS):
            self._tell(self._now())

    def _tell(self, now: Progress) -> None:
        with self._lock:
            if now != self._last:
                self._last = now
                try:
                    self._report(now)
                except Exception as error:  # the user's, and no reason to lose the statement
                    self._failure, self._report = error, nothing
                    self._ended.set()

    def _warn(self) -> None:
        """Warn of what the callback raised: here, since a thread's warning reaches nobody."""
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            message = f"progress raised {type(failure).__name__}: {failure}; it was called no more"
            warnings.warn(message, ProgressWarning, stacklevel=2)

    def _now(self) -> Progress:
        counts = self._counts()
        clock = counts.clock
        flowing = (
            clock.infer_seconds
            + clock.fetch_stall_seconds
            + clock.prep_stall_seconds
            + clock.rows_stall_seconds
        )
        busy = flowing if counts.images_inferred else time.perf_counter() - self._began
        done = self._handed_out  # rows of a batch are counted when it ends, its images before
        if self._calls == 1:
            done = min(done, max(counts.rows, counts.images_inferred))
        stage = "infer" if counts.rows or counts.images_inferred else "load"
        if self._total is not None and done >= self._total and counts.rows:
            stage = "train" if self._trains else "finish"
        if stage == "load":
            busy = 0.0
        inferred = counts.images_inferred
        if not inferred:
            self._before = done
        before = self._before if inferred else 0
        return Progress(stage, done, self._total, inferred, counts.errors, busy, before)


@contextmanager
def bar(title: str = "", *, wanted: bool = True) -> Iterator[Report]:
    """Show stage, images done of all, images a second, the time left, and errors so far.

    Example:
        with vista_sql.progress_bar() as progress:
            features = db.query("SELECT … FROM TRANSFER(…)", progress=progress).df()

    Args:
        title: what stands before the stage.
        wanted: False where something else is written to the same terminal meanwhile.
    """
    if wanted and _in_notebook():
        yield _below_cell(title)
        return
    with _terminal() as terminal:
        if terminal is None or not wanted:
            yield nothing
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
        from rich.progress import Progress as Bar
        from rich.table import Column
        from rich.text import Text

        class Pace(ProgressColumn):
            """Images a second, the time that is left, errors."""

            def render(self, task: Task) -> Text:
                return Text(task.fields["pace"])

        console = Console(file=terminal, force_jupyter=False)
        if not console.is_interactive:  # TERM=dumb
            yield nothing
            return
        columns = (
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            Pace(Column(no_wrap=True)),
        )
        with Bar(*columns, console=console, transient=True, expand=True) as shown:
            task = shown.add_task("", total=None, visible=False, pace="")

            def report(progress: Progress) -> None:
                shown.update(
                    task,
                    description=f"{title} {progress.stage}".strip(),
                    completed=progress.done,
                    total=progress.total,
                    visible=True,
                    pace=_pace(progress),
                )

            yield report


def _in_notebook() -> bool:
    """Return whether a notebook's kernel runs this process; libraries import it elsewhere, too."""
    known = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    return hasattr(known(), "kernel")


def _below_cell(title: str) -> Report:
    """Return what shows a bar below a notebook's cell: one output, which changes and stays."""
    from IPython.display import display

    output: Any = None  # once there is one
    context = copy_context()  # of the cell: a thread's own belongs to none

    def show(progress: Progress) -> None:
        nonlocal output
        total = "" if progress.total is None else f"/{progress.total:,}"
        parts = (f"{title} {progress.stage}".strip(), f"{progress.done:,}{total}", _pace(progress))
        line = "  ".join(part for part in parts if part)
        most = "" if progress.total is None else f' value="{progress.done}" max="{progress.total}"'
        bar = f'<progress{most} style="width:20em;vertical-align:middle"></progress>'
        data = {"text/plain": line, "text/html": f"<div>{bar} {escape(line)}</div>"}
        if output is None:
            output = cast("Any", display)(data, raw=True, display_id=True)
        else:
            output.update(data, raw=True)

    def report(progress: Progress) -> None:
        context.run(show, progress)

    return report


@contextmanager
def _terminal() -> Iterator[TextIO | None]:
    """Yield where a bar can be shown, if anywhere."""
    if not sys.stderr.isatty():
        yield None
    else:  # a descriptor of its own: while TensorFlow loads, what goes to descriptor 2 is held back
        with os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8") as terminal:
            yield terminal


def _pace(progress: Progress) -> str:
    """Return what is told of speed and errors.

    Example:
        >>> _pace(Progress("infer", 50, 100, 50, 2, 0.5))
        '100/s, 0:00 left, 2 errors'
    """
    parts = []
    if progress.per_second is not None and progress.stage == "infer":
        parts.append(f"{progress.per_second:,.0f}/s")
        if progress.seconds_left is not None:
            parts.append(_clock(progress.seconds_left))
    if progress.errors:
        parts.append(format_count(progress.errors, "error"))
    return ", ".join(parts)


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
