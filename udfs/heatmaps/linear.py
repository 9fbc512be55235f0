"""A kept linear model of one layer → scores, and the part of them that is the layer's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

import numpy as np
import pyarrow as pa
from msgspec import Struct

from vista_sql import models
from vista_sql.errors import ModelError
from vista_sql.train.chunks import Array, Floats
from vista_sql.train.scorer import Scorer


class Explained(Struct, frozen=True):
    """Scores of a batch of rows: the linear predictor of one class each, or the number."""

    classes: list[str | None]  # as text; None: the model predicts numbers
    score: Floats  # (rows,)
    from_image: Floats  # (rows,): weights · features
    weights: Floats  # (rows, features) of the layer
    reasons: list[str | None]  # why a row has no score

    @property
    def from_columns(self) -> Floats:
        """(rows,): the structured columns, the intercept, and what the scaler takes off."""
        return np.asarray(self.score - self.from_image)


class LinearModel:
    """A model whose scores are weighted sums; used from several threads."""

    def __init__(self, model: models.Model) -> None:
        self.model = model
        self._scorer = Scorer(model)
        ((self._layer, self.dims),) = model.layers.items()
        coef = model.arrays()["coef"][:, -self.dims :]  # in the features' own units
        is_binary = self._scorer.learns == "classes" and len(model.classes) == 2
        self._coef = np.concatenate([-coef, coef]) if is_binary else coef
        """(classes, features): of two classes, the log-odds of the first are the second's negated.
        """

    def explain(
        self, features: Array, columns: Mapping[str, pa.Array], name: str | None
    ) -> Explained:
        """Score rows as VISTA_PREDICT does.

        Args:
            features: (rows, features) float32 of the layer.
            columns: the structured ones.
            name: the class; None: each row's likeliest.

        Raises:
            ModelError: the layer or the columns are not what the model was trained on.
        """
        n = len(features)
        if features.shape[1] != self.dims:
            raise ModelError(
                f"model {self.model.reference!r} was trained with {self.dims} values of column "
                f"{self._layer!r}, and the network gives {features.shape[1]}"
            )
        flat = pa.array(np.ascontiguousarray(features).reshape(-1))
        layer = pa.FixedSizeListArray.from_arrays(flat, self.dims)
        scored = self._scorer.score({**columns, self._layer: layer})
        margins, classes = scored.margins, cast("list[str | None]", [None] * n)
        if self._scorer.learns == "numbers":
            place = np.zeros(n, np.int64)
        else:
            known = self.model.classes
            likeliest = scored.chances.argmax(axis=1)
            place = likeliest if name is None else np.full(n, known.index(name))
            classes = [known[int(one)] for one in place]
            if len(known) == 2:
                margins = np.concatenate([-margins, margins], axis=1)
        weights = self._coef[place]
        return Explained(
            classes=classes,
            score=margins[np.arange(n), place],
            from_image=np.einsum("nf,nf->n", weights, features.astype(np.float64)),
            weights=weights,
            reasons=scored.reasons,
        )


@lru_cache(maxsize=8)
def _opened(home: str, reference: str, created: int) -> LinearModel:
    """Return a model; `created` tells a model from one of its name in another life."""
    del created
    return LinearModel(models.find(home, reference))


def linear_model(home: str, reference: str) -> LinearModel:
    """Return a kept model by its exact reference, which names one of one layer.

    Raises:
        UnknownNameError: it is gone.
    """
    return _opened(home, reference, models.find(home, reference).written_ns)
