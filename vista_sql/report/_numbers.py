"""Plots of a model that learned a number: what it predicted, and how far that is from the truth."""

from __future__ import annotations

from vista_sql.report._facts import Score
from vista_sql.report._plots import ACCENT, FAINT, OTHER, _figure, _svg

HEIGHT_INCHES = 3.6
MARGIN = 0.04  # of the range, beside the outermost points


def predicted(score: Score, label: str) -> str | None:
    """Draw predicted against true numbers, with a line where they are equal; None without rows."""
    if not score.points:
        return None
    true, guessed = zip(*score.points, strict=True)
    figure, axes = _figure(HEIGHT_INCHES)
    low, high = min(*true, *guessed), max(*true, *guessed)
    margin = MARGIN * (high - low) or 1.0
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=OTHER, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.plot(true, guessed, "o", color=ACCENT, markersize=4, alpha=0.5, markeredgewidth=0)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
    axes.set_xlabel(label, color=FAINT, parse_math=False)
    axes.set_ylabel(f"{label}, predicted", color=FAINT, parse_math=False)
    return _svg(figure, "predicted")


def residuals(score: Score, label: str) -> str | None:
    """Draw true less predicted numbers against predicted ones; None without rows."""
    if not score.points:
        return None
    guessed = [number for _, number in score.points]
    left = [true - number for true, number in score.points]
    figure, axes = _figure(HEIGHT_INCHES)
    axes.axhline(0.0, color=OTHER, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    axes.plot(guessed, left, "o", color=ACCENT, markersize=4, alpha=0.5, markeredgewidth=0)
    most = max(map(abs, left)) * (1 + MARGIN) or 1.0
    axes.set_ylim(-most, most)
    axes.set_xlabel(f"{label}, predicted", color=FAINT, parse_math=False)
    axes.set_ylabel("true less predicted", color=FAINT, parse_math=False)
    return _svg(figure, "residuals")
