"""P2L: a source that is large and looks like the target, told from means of features alone.

Bhattacharjee et al., "P2L: predicting transfer learning for images and semantic relations", CVPR
workshops 2020 (arXiv 1908.07630). Its equation is taken second-hand: the divergence from DKFZ's mml
(KL of the source's mean from the target's), the weights from DKFZ's task fingerprinting. Sources
are compared with each other, so a single one has score 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vista_sql.train.chunks import Floats

SIMILARITY, SIZE = 1.5, 1.0
SMALLEST = 1e-12  # of a mean's sum: what stands for a feature that is never above 0


def divergence(source: Floats, target: Floats) -> float:
    """Return KL(source ‖ target) of mean features (d,) as distributions, their sums being 1.

    Means below zero are no distribution: where there are any, a softmax makes both one.
    """
    if (source < 0).any() or (target < 0).any():
        source, target = (np.exp(mean - mean.max()) for mean in (source, target))
    p, q = (mean / (mean.sum() or 1.0) for mean in (source, target))
    p, q = ((share + SMALLEST) / (share + SMALLEST).sum() for share in (p, q))
    return float((p * np.log(p / q)).sum())


def p2l(divergences: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Return a score per source, higher is better.

    Args:
        divergences: of each source from the target.
        sizes: images that each source was trained on.
    """
    similarity = -_standard(np.array(divergences, np.float64))
    size = _standard(np.log(np.maximum(np.array(sizes, np.float64), 1.0)))
    return [float(score) for score in SIMILARITY * similarity + SIZE * size]


def _standard(values: Floats) -> Floats:
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 0 else np.zeros_like(values)
