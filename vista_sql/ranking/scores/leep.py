"""LEEP: how likely the target's classes are, told from what the network's own classifier says.

Nguyen, Hassner, Seeger and Archambeau, "LEEP: a new measure to evaluate transferability of learned
representations", ICML 2020, equations 1 and 2: the mean of log Σ_z P(y|z) θ(x)_z, P(y|z) being the
empirical one. `log_expected_empirical_prediction` of TLlib is the reference.
"""

from __future__ import annotations

import numpy as np

from vista_sql.ranking.features import Features


def leep(predictions: Features) -> float | None:
    """Return the mean log likelihood, 0 at most; None: there are no rows.

    Args:
        predictions: the classifier's probabilities in place of features.
    """
    if predictions.n == 0:
        return None
    joint = np.zeros((predictions.n_classes, predictions.d))
    for theta, code in predictions.chunks():
        np.add.at(joint, code, theta)
    of_source = joint.sum(axis=0)
    given = np.divide(joint, of_source, out=np.zeros_like(joint), where=of_source > 0)
    total = 0.0
    with np.errstate(divide="ignore"):
        for theta, code in predictions.chunks():
            total += float(np.log((theta * given[code]).sum(axis=1)).sum())
    return total / predictions.n
