"""A regression's coefficients ↔ the head that is tuned: the same predictor in other units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vista_sql.train.chunks import ColumnMoments

from ..network.engines.tensorflow.trainable import Head


def head_of(arrays: Mapping[str, Any], moments: ColumnMoments, scale: float) -> Head:
    """Return the head that scores as a regression does.

    Args:
        arrays: `coef` (columns, structured features + features) and `intercept` (columns,), float64
            in the user's units: weights w/σ and b - Σ wμ/σ.
        moments: what the structured features are standardized by.
        scale: what the layer's features are divided by.
    """
    n = len(moments.mean)
    coef = np.asarray(arrays["coef"], np.float64)
    structured, layer = coef[:, :n], coef[:, n:]
    intercept = np.asarray(arrays["intercept"], np.float64) + structured @ moments.mean
    return Head(
        (layer * scale).T.astype(np.float32),
        (structured * moments.scale).T.astype(np.float32),
        intercept.astype(np.float32),
        scale,
    )


def arrays_of(head: Head, moments: ColumnMoments) -> dict[str, np.ndarray]:
    """Return what `head_of` made a head of, from the head as it is now."""
    layer = head.layer.T.astype(np.float64) / head.scale
    structured = head.structured.T.astype(np.float64) * moments.factor
    intercept = head.intercept.astype(np.float64) - structured @ moments.mean
    return {"coef": np.concatenate([structured, layer], axis=1), "intercept": intercept}


def empty_head(n_features: int, moments: ColumnMoments, counts: np.ndarray, scale: float) -> Head:
    """Return the head that knows the classes' frequencies and nothing else.

    Args:
        n_features: of the layer.
        moments: of the structured features.
        counts: (classes,) training rows, or what they count.
        scale: what the layer's features are divided by.
    """
    prior = np.log(np.maximum(counts, 1e-300) / counts.sum())
    intercept = prior[1:] - prior[0] if len(prior) == 2 else prior - prior.mean()
    columns = len(intercept)
    return Head(
        np.zeros((n_features, columns), np.float32),
        np.zeros((len(moments.mean), columns), np.float32),
        intercept.astype(np.float32),
        scale,
    )
