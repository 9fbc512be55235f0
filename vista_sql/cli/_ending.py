"""What `vista demo` and `vista start` say in the end: the result, where it lies, what is next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Return in a sentence what the rows of a comparison say.

    Args:
        rows: of VISTA_TRAIN: feature_set, is_best, and f1_score or r2.
    """
    measure, what = ("f1_score", "F1") if "f1_score" in rows[0] else ("r2", "R²")
    on = f"{what} on images that training did not see: "
    best = next((row for row in rows if row["is_best"] and row[measure] is not None), None)
    if best is None:
        return f"No image was left to test on, so there is no {what}."
    alone = next((row for row in rows if row["feature_set"] == "structured"), None)
    if alone is None or alone[measure] is None:
        return f"{on}{best[measure]:.3f} with {best['feature_set']}, the best of all."
    text = f"{on}{alone[measure]:.3f} by the structured columns alone"
    if best[measure] <= alone[measure]:
        return f"{text}; no layer helps."
    layer = best["feature_set"].partition("+")[2]
    lift = best[measure] - alone[measure]
    return f"{text}, {best[measure]:.3f} with {layer} beside them: a lift of {lift:.3f}."


def directions(
    report: Path,
    remedy: str | None,
    how: str,
    places: Sequence[tuple[Path | str, str]],
    commands: Sequence[str],
) -> str:
    """Return where things lie, and what to try next.

    Args:
        report: the file of the report.
        remedy: what it lacks, so that it was not written; None: it was.
        how: the command that writes it.
        places: what else there is, each with what lies there.
        commands: that can be typed as they are.
    """
    if remedy is None:
        places = [(report, "the report: open it in a browser"), *places]
    width = max(len(str(place)) for place, _ in places)
    lines = ["\nWhere it lies", *(f"  {place!s:<{width}}  {what}" for place, what in places)]
    if remedy is not None:
        lines.append(f"\nNo report was written: {remedy}\n  {how}")
    return "\n".join([*lines, "\nTry next", *(f"  {command}" for command in commands)])
