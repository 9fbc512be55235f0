"""H-score, regularized: how far class means lie apart, in units of the features' own spread.

tr(cov_α(f)⁻¹ (1 - α) cov(E[f|y])): Bao et al., "An information-theoretic approach to
transferability in task transfer learning", ICIP 2019; with the covariance shrunk by α towards a
multiple of the identity (Ledoit and Wolf, 2004), as in Ibrahim et al., "Newer is not always
better", ECML 2022 (NeurIPS workshop 2021). `regularized_h_score` of TLlib is the reference.
"""

from __future__ import annotations

import numpy as np

from vista_sql.ranking.features import Features, Gram
from vista_sql.train.chunks import Floats

SINGULAR = 1e-12  # of the largest eigenvalue: what is less is rounding


def h_score(features: Features) -> float | None:
    """Return the score, 0 or more; None: there are not two rows."""
    n, d = features.n, features.d
    if n < 2:
        return None
    gram = features.gram.centered()
    trace = float(np.trace(gram.products)) / n
    squares = float(np.square(gram.products).sum()) / n**2
    if trace == 0:
        return 0.0
    alpha = _shrinkage(features, gram, trace, squares)
    spread = _spread(gram, alpha * trace / d, (1 - alpha) / n)
    counts = np.maximum(gram.counts, 1)
    return float((1 - alpha) * (spread / counts).sum() / (n - 1))


def _spread(gram: Gram, floor: float, slope: float) -> Floats:
    """Return s'(floor·I + slope·X'X)⁻¹s (classes,) of each class's sum of features s.

    Of rows it is e'K(floor·I + slope·K)⁻¹e, K being XX'.
    """
    sums, m = gram.sums, len(gram.products)
    left = sums if gram.of_features else gram.products @ sums
    if floor > 0:
        system = slope * gram.products + floor * np.eye(m)
        return np.asarray((left * np.linalg.solve(system, sums)).sum(axis=0))
    values, vectors = np.linalg.eigh(gram.products)  # not shrunk: the pseudo-inverse
    there = values > SINGULAR * values[-1]
    along = (vectors[:, there].T @ left) * (vectors[:, there].T @ sums)
    return np.asarray((along / (slope * values[there])[:, None]).sum(axis=0))


def _shrinkage(features: Features, gram: Gram, trace: float, squares: float) -> float:
    """Return Ledoit and Wolf's α; lemmas 3.2 to 3.5 of their paper, as scikit-learn has them.

    Args:
        features: they are.
        gram: centered.
        trace: of the covariance, divided by n.
        squares: the sum of its entries' squares.
    """
    n, d = features.n, features.d
    if d == 1:
        return 0.0
    fourth = float((_squared_norms(features, gram) ** 2).sum())
    beta = (fourth / n - squares) / (d * n)
    delta = (squares - trace**2 / d) / d
    beta = min(beta, delta)
    return 0.0 if beta <= 0 else beta / delta


def _squared_norms(features: Features, gram: Gram) -> Floats:
    """Return ‖x - mean‖² of each row."""
    if not gram.of_features:
        return np.diag(gram.products)
    mean = features.gram.sums.sum(axis=1) / features.n
    return np.concatenate([np.square(x - mean).sum(axis=1) for x, _ in features.chunks()])
