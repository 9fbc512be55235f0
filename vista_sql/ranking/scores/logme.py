"""LogME: the evidence for a linear model of the features, its two precisions at their best.

You et al., "LogME: practical assessment of pre-trained models for transfer learning", ICML 2021,
algorithms 1 and 3 (the fixed point of the later journal version is another); the mean over classes,
each against the rest. `log_maximum_evidence` of TLlib is the reference: it decomposes X'X and
iterates at most 11 times.
"""

from __future__ import annotations

import numpy as np

from vista_sql.ranking.features import Features
from vista_sql.train.chunks import Floats

ITERATIONS = 11
CLOSE = 0.01  # relative change of α/β at which the precisions are taken
EXACT = 1e-13  # of a target's square: what is less is no residual but rounding
SINGULAR = 1e-14  # of the largest eigenvalue: what is less is rounding


def logme(features: Features) -> float | None:
    """Return the mean log evidence per row.

    None: there is no row, or no feature but 0; or the features fit a class exactly, for which the
    evidence has no bound.
    """
    if features.n == 0:
        return None
    gram = features.gram
    values, vectors = np.linalg.eigh(gram.products)
    there = values > SINGULAR * max(values[-1], 0.0)
    if not there.any():
        return None
    values, along = values[there], np.square(vectors[:, there].T @ gram.sums)
    if gram.of_features:
        along /= values[:, None]  # (u'e)² of the left singular vectors u
    with np.errstate(all="ignore"):
        found = [
            _evidence(gram.n, gram.d, values, along[:, c], gram.counts[c])
            for c in range(features.n_classes)
        ]
        mean = float(np.mean(found))
    return mean if np.isfinite(mean) else None


def _evidence(n: int, d: int, values: Floats, along: Floats, count: np.float64) -> float:
    """Return the log evidence per row of one class.

    Args:
        n: rows.
        d: features.
        values: (r,) eigenvalues above 0.
        along: (r,) squares of the targets' coordinates.
        count: ‖target‖², the class's rows.
    """
    outside = np.maximum(count - along.sum(), 0.0)  # what no weights reach
    alpha = beta = ratio = np.float64(1.0)
    for _ in range(ITERATIONS):
        gamma = (values / (values + ratio)).sum()
        share = alpha + beta * values
        weights = (beta**2 * values * along / share**2).sum()  # ‖m‖²
        residual = outside + (along * (alpha / share) ** 2).sum()
        alpha, beta = gamma / weights, (n - gamma) / residual
        if np.abs(alpha / beta - ratio) / ratio < CLOSE:
            break
        ratio = alpha / beta
    if residual < EXACT * count:
        return float("inf")
    logs = np.log(alpha + beta * values).sum() + (d - len(values)) * np.log(alpha)
    evidence = d / 2 * np.log(alpha) + n / 2 * np.log(beta) - logs / 2
    evidence -= beta / 2 * residual + alpha / 2 * weights + n / 2 * np.log(2 * np.pi)
    return float(evidence / n)
