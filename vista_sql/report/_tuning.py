"""Plots of a fine-tuning: how well each run did, and how it got there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vista_sql.report._plots import (
    ACCENT,
    FAINT,
    INK,
    LONGEST,
    OTHER,
    POINTS,
    _figure,
    _svg,
    short_names,
)

Row = Mapping[str, Any]
"""A row of VISTA_FINETUNE, as its model's record has it."""

FIELDS = {
    "unfrozen": lambda value: f"{value[0]} on",
    "reset": lambda value: f"reset {value[0]} on" if value else "no reset",
    "learning_rate": lambda value: f"rate {value:g}",
    "inner_learning_rate": lambda value: f"inner {value:g}",
    "seed": lambda value: f"seed {value}",
}
"""What may tell runs apart, and how it is said."""


def names(rows: Sequence[Row]) -> dict[int, str]:
    """Return what to call each run: what tells it from the others.

    Example:
        >>> run = {"unfrozen": ["fc6"], "reset": [], "learning_rate": 0.1, "seed": 0}
        >>> both = {"run": 1, "inner_learning_rate": 0.1}, {"run": 2, "inner_learning_rate": 0.01}
        >>> names([run | one for one in both])
        {1: 'inner 0.1', 2: 'inner 0.01'}
    """
    by_run = {row["run"]: row for row in rows}
    differ = [
        field for field in FIELDS if len({str(row[field]) for row in by_run.values()}) > 1
    ] or ["unfrozen"]
    return {
        run: ", ".join(FIELDS[field](row[field]) for field in differ) for run, row in by_run.items()
    }


def runs(rows: Sequence[Row]) -> str | None:
    """Draw F1 of every run on the test rows, the regression's as a line to compare with."""
    after = [row for row in rows if row["kind"] == "after" and row["f1_score"] is not None]
    before = next((row["f1_score"] for row in rows if row["kind"] == "before"), None)
    if not after or before is None:
        return None
    called = names(rows)
    shown = short_names([called[row["run"]] for row in after], LONGEST)
    figure, axes = _figure(0.8 + 0.34 * len(after))
    places = range(len(after))[::-1]
    axes.axvline(before, color=OTHER, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for place, row in zip(places, after, strict=True):
        axes.plot(row["f1_score"], place, "o", color=ACCENT, markersize=7, zorder=2)
        axes.annotate(
            f"{row['f1_score']:.3f}", (1.02, place), xycoords=("axes fraction", "data"),
            va="center", color=INK, fontsize=POINTS,
            fontweight="bold" if row["is_kept"] else "normal",
        )  # fmt: skip
    axes.set_yticks(list(places), shown)
    axes.set_ylim(-0.6, len(after) - 0.4)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("F1 on rows that tuning did not see", color=FAINT)
    return _svg(figure, "runs")


def epochs(rows: Sequence[Row]) -> str | None:
    """Draw the validation loss of every run over its epochs; the kept run's stands out."""
    by_run: dict[int, list[Row]] = {}
    for row in rows:
        if row["kind"] == "epoch" and row["loss"] is not None:
            by_run.setdefault(row["run"], []).append(row)
    if not by_run:
        return None
    figure, axes = _figure(2.8)
    for own in by_run.values():
        kept = [row for row in own if row["is_kept"]]
        axes.plot(
            [row["epoch"] for row in own], [row["loss"] for row in own],
            color=ACCENT if kept else FAINT, linewidth=2.2 if kept else 1,
            zorder=2 if kept else 1,
        )  # fmt: skip
        for row in kept:
            axes.plot(row["epoch"], row["loss"], "o", color=ACCENT, markersize=7, zorder=3)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("epoch", color=FAINT)
    axes.set_ylabel("loss on validation rows", color=FAINT)
    return _svg(figure, "epochs")
