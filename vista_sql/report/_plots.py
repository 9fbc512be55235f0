"""Plots as SVG text that takes its colours and its type from the page around it.

matplotlib draws with stand-in colours; each is replaced by a CSS variable of the page, so that one
drawing serves a light and a dark page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vista_sql.report._facts import Score, Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, LINE = "#010101", "#020202", "#030303"
ACCENT, OTHER, GROUND = "#040404", "#050505", "#060606"
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    LINE: "--line",
    ACCENT: "--accent",
    OTHER: "--other",
    GROUND: "--ground",
}
WIDTH_INCHES = 4.7  # narrow: on a telephone the letters are still as large as the text's
POINTS = 10.0
MOST_CLASSES = 20  # of a confusion matrix: beyond them cells are too small to read
MOST_CURVES = 5
LONGEST = 24  # letters of a feature set's name beside an axis
LONGEST_CLASS = 14  # letters of a class's


def f1_scores(training: Training) -> str:
    """Draw F1 of every feature set, the structured columns' as a line to compare with."""
    scores = [score for score in training.scores if score.f1_score is not None]
    figure, axes = _figure(0.8 + 0.34 * len(scores))
    places = range(len(scores))[::-1]
    base = training.baseline
    if base is not None and base.f1_score is not None:
        axes.axvline(base.f1_score, color=OTHER, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    for place, score in zip(places, scores, strict=True):
        value, colour = score.f1_score or 0.0, OTHER if score.layer is None else ACCENT
        axes.errorbar(
            value, place, xerr=score.spread, fmt="s" if score.layer is None else "o",
            color=colour, markersize=7, capsize=4, linewidth=1.6, zorder=2,
        )  # fmt: skip
        spread = f" ± {score.spread:.3f}" if score.spread is not None else ""
        weight = "bold" if score.is_best else "normal"
        axes.annotate(
            f"{value:.3f}{spread}", (1.02, place), xycoords=("axes fraction", "data"),
            va="center", color=INK, fontsize=POINTS, fontweight=weight,
        )  # fmt: skip
    axes.set_yticks(list(places), _feature_sets(scores))
    axes.set_ylim(-0.6, len(scores) - 0.4)
    lows = [(score.f1_score or 0) - (score.spread or 0) for score in scores]
    highs = [(score.f1_score or 0) + (score.spread or 0) for score in scores]
    margin = max(0.1 * (max(highs) - min(lows)), 0.01)
    axes.set_xlim(max(min(lows) - margin, -0.01), min(max(highs) + margin, 1.01))
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("F1 on rows that training did not see", color=FAINT)
    return _svg(figure, "f1")


def roc(training: Training) -> str:
    """Draw the ROC curve of the best feature sets and of the structured columns."""
    drawn = [score for score in training.scores if score.roc]
    drawn.sort(key=lambda score: (not score.is_best, -(score.f1_score or 0.0)))
    drawn = drawn[:MOST_CURVES]
    base = training.baseline
    if base is not None and base.roc and base not in drawn:
        drawn[-1] = base
    figure, axes = _figure(4.2)
    axes.plot([0, 1], [0, 1], color=LINE, linewidth=1)
    styles = ["-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1))]
    for score, name, style in zip(drawn, _feature_sets(drawn), styles, strict=False):
        area = score.figures["roc_auc"]
        axes.plot(
            [0.0, *training.roc_at], [0.0, *(score.roc or ())],
            label=name if area is None else f"{name}  {area:.3f}",
            color=ACCENT if score.is_best else OTHER if score is base else FAINT,
            linewidth=2.2 if score.is_best or score is base else 1.2, linestyle=style,
            drawstyle="steps-post",
        )  # fmt: skip
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("false-positive rate", color=FAINT)
    axes.set_ylabel("true-positive rate", color=FAINT)
    legend = axes.legend(
        loc="lower right", frameon=True, facecolor=GROUND, edgecolor=LINE, framealpha=1,
        fontsize=POINTS - 1, title="area under the curve", title_fontsize=POINTS - 1,
        handlelength=2.6,
    )  # fmt: skip
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_color(INK)
    return _svg(figure, "roc")


def confusion(score: Score, classes: Sequence[str]) -> str | None:
    """Draw how often each class was taken for each; None where there are too many to read."""
    if not score.confusion or len(classes) > MOST_CLASSES:
        return None
    from matplotlib.patches import Rectangle

    n = len(classes)
    figure, axes = _figure(max(2.6, min(4.6, 1.0 + 0.46 * n)))
    totals = [sum(rows for i, _, rows in score.confusion if i == expected) for expected in range(n)]
    for i, j, rows in score.confusion:
        share = rows / totals[i]
        cell = Rectangle(
            (j - 0.48, i - 0.48), 0.96, 0.96, facecolor=ACCENT if i == j else OTHER,
            alpha=max(share, 0.08), linewidth=0,
        )  # fmt: skip
        axes.add_patch(cell)
        colour, size = GROUND if share > 0.55 else INK, POINTS if n <= 12 else POINTS - 3
        axes.annotate(f"{rows:,}", (j, i), ha="center", va="center", color=colour, fontsize=size)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_aspect("equal")
    names = short_names(classes, LONGEST_CLASS)
    axes.set_xticks(range(n), names, rotation=0 if max(map(len, names)) * n < 60 else 60)
    axes.set_yticks(range(n), names)
    axes.set_xlabel("predicted", color=FAINT)
    axes.set_ylabel("expected", color=FAINT)
    axes.grid(visible=False)
    return _svg(figure, "confusion")


def seconds(parts: Sequence[tuple[str, float]], name: str) -> str:
    """Draw seconds by what they went to."""
    figure, axes = _figure(0.7 + 0.34 * len(parts))
    places = range(len(parts))[::-1]
    axes.barh(list(places), [spent for _, spent in parts], color=ACCENT, height=0.55)
    for place, (_, spent) in zip(places, parts, strict=True):
        axes.annotate(
            _duration(spent), (spent, place), xytext=(5, 0), textcoords="offset points",
            va="center", color=INK, fontsize=POINTS,
        )  # fmt: skip
    axes.set_yticks(list(places), [part for part, _ in parts])
    axes.set_ylim(-0.6, len(parts) - 0.4)
    axes.set_xlim(0, max(spent for _, spent in parts) * 1.25 or 1)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("seconds", color=FAINT)
    return _svg(figure, name)


def _figure(height_inches: float) -> tuple[Figure, Axes]:
    """Return an empty figure; drawn without pyplot, which keeps figures for the whole process."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(color=LINE, labelcolor=INK, length=0, labelsize=POINTS)
    return figure, axes


def _svg(figure: Figure, name: str) -> str:
    """Return a figure as an <svg> element whose ids begin with `name`."""
    from matplotlib import rc_context

    written = io.StringIO()
    quiet = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata=quiet)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true"', text, count=1)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text


def short_names(names: Sequence[str], longest: int) -> list[str]:
    """Return names cut to a length where they are still told apart: at the end or in the middle.

    Example:
        >>> short_names(["a penguin from Antarctica", "b"], 14)
        ['a penguin fro…', 'b']
        >>> short_names(["penguin, an emperor", "penguin, a little one"], 14)
        ['penguin, an e…', 'penguin, a li…']
        >>> short_names(["conv5_block3_out, reg 0.1", "conv5_block3_out, reg 0.01"], 14)
        ['conv5_…reg 0.1', 'conv5_…eg 0.01']
        >>> short_names(["a penguin from Antarctica", "a penguin from all of Antarctica"], 14)
        ['1 a penguin f…', '2 a penguin f…']
    """

    def ended(name: str) -> str:
        return name if len(name) <= longest else f"{name[: longest - 1]}…"

    def without_middle(name: str) -> str:
        half = longest // 2
        return name if len(name) <= longest else f"{name[: longest - half - 1]}…{name[-half:]}"

    for cut in (ended, without_middle):
        short = [cut(name) for name in names]
        if len(set(short)) == len(names):
            return short
    return [ended(f"{number} {name}") for number, name in enumerate(names, 1)]


def _feature_sets(scores: Sequence[Score]) -> list[str]:
    """Return the names of feature sets as they stand beside an axis."""
    return short_names([score.name.replace("structured+", "+ ") for score in scores], LONGEST)


def _duration(spent: float) -> str:
    return (
        f"{spent:,.0f} s" if spent >= 100 else f"{spent:.1f} s" if spent >= 1 else f"{spent:.3f} s"
    )
