"""NCE: how little is open about the target's class once the network's own class is known.

Tran, Nguyen and Hassner, "Transferability and hardness of supervised classification tasks", ICCV
2019, section 3: -H(Y|Z), Z being the likeliest class. `negative_conditional_entropy` of TLlib is
the reference.
"""

from __future__ import annotations

import numpy as np

from vista_sql.ranking.features import Features


def nce(predictions: Features) -> float | None:
    """Return the negative conditional entropy, 0 at most; None: there are no rows.

    Args:
        predictions: the classifier's probabilities in place of features.
    """
    if predictions.n == 0:
        return None
    joint = np.zeros((predictions.n_classes, predictions.d))
    for theta, code in predictions.chunks():
        np.add.at(joint, (code, theta.argmax(axis=1)), 1.0)
    of_source = joint.sum(axis=0)
    given = np.divide(joint, of_source, out=np.zeros_like(joint), where=of_source > 0)
    logs = np.log(given, out=np.zeros_like(given), where=given > 0)
    return float((joint * logs).sum()) / predictions.n
