"""What is known of the data that networks were trained on → P2L of the networks."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vista_sql.errors import ModelError, UnknownNameError
from vista_sql.ranking.scores.p2l import divergence, p2l
from vista_sql.train.chunks import Floats


class Sources:
    """The rows of `sources => …`: cnn, weights, mean features and number of images of each."""

    def __init__(self) -> None:
        """Begin with none."""
        self.n_fed = 0
        self._known: dict[tuple[str, str], tuple[Floats, int]] = {}
        self._lock = threading.Lock()

    def feed(self, batch: Mapping[str, pa.Array]) -> int:
        """Take a batch of columns cnn, weights, mean and n; return the number of the first row.

        Raises:
            ModelError: a value is NULL or not of its kind, or a network stands there twice.
        """
        names = ("cnn", "weights", "mean", "n")
        columns = [batch[name].to_pylist() for name in names]
        with self._lock:
            first = self.n_fed
            self.n_fed += len(columns[0])
            for cnn, weights, mean, n in zip(*columns, strict=True):
                self._add(cnn, weights, mean, n)
        return first

    def _add(self, cnn: Any, weights: Any, mean: Any, n: Any) -> None:
        who = f"sources: cnn {cnn!r} with weights {weights!r}"
        if not isinstance(cnn, str) or not isinstance(weights, str):
            raise ModelError(f"{who}: both are text that names a network, and not NULL")
        try:
            values = np.array(mean, np.float64)
            size = float(n)
        except (TypeError, ValueError):
            values, size = np.zeros(0), 0.0
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
            raise ModelError(f"{who}: mean is a list of numbers, the mean features of its data")
        if not size >= 1:
            raise ModelError(f"{who}: n is how many images it was trained on, 1 or more, not {n!r}")
        key = (cnn.lower(), weights.lower())
        if key in self._known:
            raise ModelError(f"{who} stands there twice: give one row for each network")
        self._known[key] = values, int(size)

    def check(self, networks: Iterable[tuple[str, str]]) -> None:
        """Check that all are networks which are ranked.

        Raises:
            UnknownNameError: one is not.
        """
        ranked = {(cnn.lower(), weights.lower()) for cnn, weights in networks}
        known = [f"{cnn}/{weights}" for cnn, weights in sorted(ranked)]
        for cnn, weights in self._known:
            if (cnn, weights) not in ranked:
                raise UnknownNameError("source", f"{cnn}/{weights}", known, where="what is ranked")

    def score(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add P2L to the rows of networks whose source is known, the same on each.

        The mean of a source is of the network's highest layer that has as many values.

        Args:
            rows: with `cnn`, `weights`, `mean` (d,) of the target; `p2l` and `warnings` are set.
        """
        found: dict[tuple[str, str], float] = {}
        for key, (mean, _) in self._known.items():
            of_network = [row for row in rows if _key(row) == key]
            fitting = [row for row in of_network if len(row["mean"]) == len(mean)]
            if fitting:
                found[key] = divergence(mean, fitting[-1]["mean"])
            for row in of_network if not fitting else ():
                row["warnings"].append(
                    f"no p2l: the mean of its source has {len(mean)} values, and the layers "
                    f"have {', '.join(str(len(other['mean'])) for other in of_network)}"
                )
        scores = p2l(list(found.values()), [self._known[key][1] for key in found]) if found else []
        by_key = dict(zip(found, scores, strict=True))
        for row in rows:
            row["p2l"] = by_key.get(_key(row))


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["cnn"].lower(), row["weights"].lower()
