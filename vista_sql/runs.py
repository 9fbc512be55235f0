"""Records of runs, a JSON file each: what VISTA_RUNS(), VISTA_ERRORS() and reports read."""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from vista_sql import files
from vista_sql.kernels import WALL, WORK, Counts, Timer
from vista_sql.machine.resources import peak_bytes

log = logging.getLogger(__name__)

FOLDER = "runs"
MOST_RUNS = 1000
"""Records in a home folder; the oldest go first."""

MOST_REASONS = 100
"""Kept of a run whose kernels count elsewhere."""

MOST_OPEN = 64
"""Runs of statements bound elsewhere that are watched: a prepared one may run again and again."""


class CountsByRun(Protocol):
    """The kernels' counts of every run."""

    def counters(self, run: str) -> Counts:
        """Return the counts of a run."""

    def forget(self, run: str) -> None:
        """Drop the counts of a run."""


class Estimate(Struct, frozen=True):
    """What the planner expected of a run; None where it could not know."""

    peak_bytes: int | None = None
    images_inferred: int | None = None
    explained: str = ""  # the plan and its reasons, as db.explain() shows them


class Run(Struct, frozen=True):
    """One run, as VISTA_RUNS() shows it; `seconds` is None for a run that DuckDB ran by itself."""

    run_id: str
    started: str  # UTC, ISO 8601
    statement: str
    plan: str
    rows: int = 0
    images: int = 0
    images_inferred: int = 0
    images_from_store: int = 0
    errors: int = 0
    seconds: float | None = None
    peak_bytes: int = 0
    reasons: list[tuple[str | None, str]] = field(default_factory=list)  # (key, why), first ones
    wall: dict[str, float] = field(default_factory=dict)  # seconds by the names of kernels.WALL
    work: dict[str, float] = field(default_factory=dict)  # seconds by the names of kernels.WORK
    estimate: Estimate | None = None


class Seen(Struct):
    """What rows say of a run whose kernels count elsewhere, on machines of a cluster."""

    rows: int = 0
    images: int = 0  # rows with features, or with a reason why there are none
    errors: int = 0
    reasons: list[tuple[str | None, str]] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        """Add what other rows say."""
        self.rows += other.rows
        self.images += other.images
        self.errors += other.errors
        self.reasons += other.reasons[: MOST_REASONS - len(self.reasons)]


class Runs:
    """The runs of one home folder: opened when planned, written once rows were read."""

    def __init__(self, home: str) -> None:
        self._folder = Path(home) / FOLDER
        self._open: dict[str, tuple[Run, float]] = {}
        self._written: dict[str, int] = {}  # run → its rows when it was last written
        self._lock = threading.Lock()
        self._warned = False  # that records cannot be written

    def open(self, statement: str, plan: str = "") -> str:
        """Return the id of a new run; nothing is written yet."""
        now = datetime.now(UTC)
        run_id = f"{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"  # they sort by time
        started = now.isoformat(timespec="milliseconds")
        with self._lock:
            self._open[run_id] = (Run(run_id, started, statement, plan), time.monotonic())
        return run_id

    def close(
        self, run_id: str, plan: str, counts: Counts, estimate: Estimate | None = None
    ) -> None:
        """Write the record of a run that has ended.

        Args:
            run_id: as `open` returned it; one that was closed before changes nothing.
            plan: the plans of its TRANSFERs; "": as it was opened with.
            counts: what the kernels counted for it.
            estimate: what the planner expected.
        """
        with self._lock:
            opened = self._open.pop(run_id, None)
        if opened is not None:
            run, began = opened
            run = replace(run, estimate=estimate)
            self._write(run, plan or run.plan, counts, round(time.monotonic() - began, 3))

    def close_seen(
        self, run_id: str, plan: str, seen: Seen, images_inferred: int, estimate: Estimate
    ) -> None:
        """Write the record of a run that has ended, of which only its rows are known.

        Args:
            run_id: as `open` returned it.
            plan: the plans of its TRANSFERs.
            seen: what the rows say.
            images_inferred: how many images passed a network.
            estimate: what the planner expected.
        """
        with self._lock:
            run, began = self._open.pop(run_id)
        record = replace(
            run,
            plan=plan,
            rows=seen.rows,
            images=seen.images,
            images_inferred=images_inferred,
            errors=seen.errors,
            reasons=seen.reasons,
            seconds=round(time.monotonic() - began, 3),
            peak_bytes=peak_bytes(),
            estimate=estimate,
        )
        self._keep(record)

    def flush(self, counts_by_run: CountsByRun) -> None:
        """Write the records of open runs that read rows since; only the newest stay open."""
        with self._lock:
            opened = list(self._open.values())
        for run, _ in opened:
            counts = counts_by_run.counters(run.run_id)
            if counts.rows != self._written.get(run.run_id, 0):
                self._written[run.run_id] = counts.rows
                self._write(run, run.plan, counts, None)
        for run, _ in opened[:-MOST_OPEN]:
            counts_by_run.forget(run.run_id)
            self._written.pop(run.run_id, None)
            with self._lock:
                self._open.pop(run.run_id, None)

    def _write(self, run: Run, plan: str, counts: Counts, seconds: float | None) -> None:
        record = replace(
            run,
            plan=plan,
            rows=counts.rows,
            images=counts.images,
            images_inferred=counts.images_inferred,
            images_from_store=counts.images_from_store,
            errors=counts.errors,
            reasons=list(counts.reasons),
            seconds=seconds,
            peak_bytes=peak_bytes(),
            wall=_seconds(WALL, counts),
            work=_seconds(WORK, counts),
        )
        self._keep(record)

    def _keep(self, record: Run) -> None:
        text = json.dumps(to_builtins(record), ensure_ascii=False)
        try:
            self._write_file(f"{record.run_id}.json", text)
        except OSError as error:  # a full disk, a folder that cannot be written
            if not self._warned:
                log.warning("going on without a record of runs in %s: %s", self._folder, error)
            self._warned = True

    def _write_file(self, name: str, text: str) -> None:
        """Write a file, whole or not at all; drop the oldest beyond MOST_RUNS."""
        files.write(self._folder / name, text)
        names = os.listdir(self._folder)  # noqa: PTH208 - names are enough, and quick
        for old in sorted(names)[:-MOST_RUNS]:
            (self._folder / old).unlink(missing_ok=True)


def read(home: str) -> Iterator[Run]:
    """Yield the runs of a home folder, newest first; a damaged record is passed over."""
    for path in sorted((Path(home) / FOLDER).glob("*.json"), reverse=True):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record["reasons"] = [(key, reason) for key, reason in record["reasons"]]
            if record.get("estimate") is not None:
                record["estimate"] = Estimate(**record["estimate"])
            yield Run(**record)
        except (OSError, ValueError, TypeError, KeyError):
            continue


def unreadable(errors: int, images: int, reasons: Iterable[tuple[str | None, str]]) -> str:
    """Return what is to be said of images that could not be read.

    >>> unreadable(2, 9, [("7", "it is empty")]).partition("; relative")[0]
    '2 of 9 images cannot be read, the first: key 7: it is empty'
    >>> unreadable(1, 0, ())
    '1 of the images cannot be read'
    """
    of = f"{images:,}" if errors <= images else "the"  # it ended before these were counted
    message = f"{errors:,} of {of} images cannot be read"
    for key, reason in list(reasons)[:1]:
        message += f", the first: key {key}: {reason}"
    return f"{message}; relative paths start at {Path.cwd()}" if errors == images else message


def _seconds(timers: Iterable[Timer], counts: Counts) -> dict[str, float]:
    """Return what a run spent by the names of timers."""
    return {timer.name: round(timer.seconds(counts), 4) for timer in timers}
