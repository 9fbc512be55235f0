"""The worst mistakes of a model, and its surest hits.

Of rows that it was not fitted to, they are wrong, or right, with the highest probability. They are
found by row hash; a row's key is looked up once it is known which rows are wanted.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa

from vista_sql.train.chunks import Array
from vista_sql.train.metrics import probabilities

MOST = 12
"""Mistakes kept of a model, and as many hits."""

MAX_KEY_BYTES = 1 << 26
"""Keys kept while rows come; of data with more of them no mistakes are kept."""

Mistake: TypeAlias = tuple[int, int, int, float]
"""Row hash, expected class, predicted class, its probability."""


def worst(mistakes: list[Mistake]) -> list[Mistake]:
    """Return the MOST mistakes of the highest probability, highest first, in a fixed order."""
    return sorted(mistakes, key=lambda mistake: (-mistake[3], mistake[0]))[:MOST]


def found(hashes: Array, codes: Array, margins: Array, *, hits: bool = False) -> list[Mistake]:
    """Return the worst mistakes among rows, or the surest hits.

    Args:
        hashes: (rows,) uint64.
        codes: (rows,) int64, the expected classes.
        margins: (rows, 1 or classes), as `Trainer.margins`.
        hits: rows that are right, and not those that are wrong.
    """
    chances = probabilities(margins)
    predicted = chances.argmax(axis=1)
    rows = np.flatnonzero((predicted == codes) == hits)
    chance = chances[rows, predicted[rows]]
    first = rows[np.lexsort((hashes[rows], -chance))][:MOST]
    columns = (hashes, codes, predicted, chances[np.arange(len(codes)), predicted])
    parts = (column[first].tolist() for column in columns)
    return list(zip(*parts, strict=True))


class Keys:
    """The keys of rows as text, by the rows' hashes; none where they are of no simple type."""

    def __init__(self) -> None:
        self._pieces: list[tuple[Array, pa.Array]] | None = []
        self._bytes = 0

    def add(self, hashes: Array, keys: pa.Array) -> None:
        """Add rows: hashes (rows,) uint64 and keys (rows,)."""
        if self._pieces is None:
            return
        try:
            texts = keys.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            self._pieces = None
            return
        self._bytes += hashes.nbytes + texts.nbytes
        if self._bytes > MAX_KEY_BYTES:
            self._pieces = None
        else:
            self._pieces.append((hashes.copy(), texts))

    def of(self, wanted: list[int]) -> dict[int, str]:
        """Return row hash → key of those wanted rows whose key is known and not NULL."""
        by_hash: dict[int, str] = {}
        sought = np.array(wanted, np.uint64)
        for hashes, texts in self._pieces or ():
            for place in np.flatnonzero(np.isin(hashes, sought)).tolist():
                if (key := texts[place].as_py()) is not None:
                    by_hash[int(hashes[place])] = key
        return by_hash
