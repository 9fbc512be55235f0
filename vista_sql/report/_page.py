"""The page: the template filled with what a report says, its plots drawn."""

from __future__ import annotations

from importlib.resources import files

import vista_sql
from vista_sql.report import _numbers, _plots, _tuning
from vista_sql.report._facts import MOST_ERRORS, Report

TEMPLATE = "page.html.j2"
COLUMNS = {  # of the table of scores: the row's column → its heading
    "dims": "columns",
    "reg": "reg",
    "f1_score": "F1",
    "f1_score_std": "±",
    "r2": "R²",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "lift": "lift",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "roc_auc": "ROC area",
    "log_loss": "log loss",
    "iterations": "iterations",
}


def page(report: Report) -> str:
    """Return a report as one HTML page that needs nothing else."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("vista_sql.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    training, run = report.training, report.run
    best = training.best if training else None
    tested = training is not None and any(s.f1_score is not None for s in training.scores)
    plots = {
        "f1": _plots.f1_scores(training) if training and tested else None,
        "roc": _plots.roc(training) if training and any(s.roc for s in training.scores) else None,
        "confusion": _plots.confusion(best, training.classes) if training and best else None,
        "predicted": _numbers.predicted(best, training.label) if training and best else None,
        "residuals": _numbers.residuals(best, training.label) if training and best else None,
        "runs": _tuning.runs(training.tuning) if training else None,
        "epochs": _tuning.epochs(training.tuning) if training else None,
        "wall": _plots.seconds(report.wall, "wall") if report.wall else None,
        "work": _plots.seconds(report.work, "work") if report.work else None,
    }
    columns = {
        name: heading
        for name, heading in COLUMNS.items()
        if training and any(s.figures.get(name) is not None for s in training.scores)
    }
    if training and len({s.figures["reg"] for s in training.scores} - {None}) < 2:
        columns.pop("reg", None)  # provenance says it
    return environment.from_string(template).render(
        report=report,
        training=training,
        best=best,
        run=run,
        plots=plots,
        columns=columns,
        shown=_shown,
        signed=lambda value: f"{value:+.3f}".replace("-", "−"),
        errors=run.reasons[:MOST_ERRORS] if run else [],
        version=vista_sql.__version__,
    )


def _shown(value: object) -> str:
    """Return a figure as the table shows it.

    Example:
        >>> _shown(0.98765), _shown(1234), _shown(None)
        ('0.988', '1,234', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
