"""Fed rows → what is tuned on: the split of the regression, its structured features, the maps."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import ModelError
from vista_sql.models import Model
from vista_sql.train.chunks import Array, Chunk, ColumnMoments, Floats
from vista_sql.train.columns import Columns
from vista_sql.train.encoding import CONSTANT, Encoding, Levels
from vista_sql.train.ledger import Ledger
from vista_sql.train.rows import RowReader, text_of
from vista_sql.train.sides import Sides
from vista_sql.train.training_rows import TrainingRows
from vista_sql.train.tuning import VALIDATION_SHARE


class Examples(Struct, frozen=True):
    """Rows in one fixed order, the same in every pass; those that a test on `unit` is true of."""

    rows: TrainingRows
    start: int  # which of the chunks' layers is the maps
    least: float  # of the rows' places in the split, [least, most)
    most: float

    def parts(self) -> Iterator[Chunk]:
        """Yield the rows, a chunk at a time; `layers` holds the maps alone."""
        for chunk in self.rows.chunks():
            there = np.flatnonzero((chunk.unit >= self.least) & (chunk.unit < self.most))
            if len(there):
                yield replace(chunk, layers=(chunk.layers[self.start],)).take(there)

    def batches(self, size: int, random: np.random.Generator | None) -> Iterator[Chunk]:
        """Yield batches of `size` rows, the last may be shorter; shuffled within chunks."""
        rest: Chunk | None = None
        for part in self.parts():
            mixed = part if random is None else part.take(random.permutation(len(part)))
            joined = mixed if rest is None else _joined(rest, mixed)
            whole = len(joined) - len(joined) % size
            for first in range(0, whole, size):
                yield joined.take(slice(first, first + size))
            rest = joined.take(slice(whole, None)) if whole < len(joined) else None
        if rest is not None:
            yield rest


def _joined(one: Chunk, other: Chunk) -> Chunk:
    pairs = zip(
        (one.hash, one.unit, one.code, one.structured, one.layers[0]),
        (other.hash, other.unit, other.code, other.structured, other.layers[0]),
        strict=True,
    )
    row_hash, unit, code, structured, maps = (np.concatenate(pair) for pair in pairs)
    return Chunk(row_hash, unit, code, structured, (maps,))


class FedRows:
    """Takes rows from several threads, and splits them as the regression's were."""

    def __init__(
        self,
        columns: Columns,
        maps: Sequence[str],
        ledger: Ledger,
        *,
        seed: int,
        fills: bool,
        memory_bytes: int,
    ) -> None:
        """Begin with none.

        Args:
            columns: of the regression, the head's layer the only one among them.
            maps: the columns of maps.
            ledger: with the regression's split.
            seed: of the split.
            fills: whether numbers that are NULL were filled in.
            memory_bytes: most memory to hold.
        """
        self.reader = RowReader(columns, seed, fills=fills, carried=tuple(maps))
        self.ledger = ledger
        self._memory_bytes = memory_bytes
        self._sides: Sides | None = None
        self._lock = threading.Lock()

    def feed(self, batch: Mapping[str, pa.Array]) -> None:
        """Take a batch: columns by name, the head's features and the maps among them.

        Raises:
            ModelError: a column is of another kind than the regression's.
        """
        read = self.reader.read(batch)
        if read is None:
            return
        chunk, images = read
        chunk = replace(chunk, layers=chunk.layers[1:])  # the head's features come from the maps
        parts = self.ledger.split(chunk)
        with self._lock:
            self.ledger.add(chunk, images)
            if self._sides is None:
                layout = self.reader.layout
                layout = replace(layout, layer_sizes=layout.layer_sizes[1:])
                self._sides = Sides.empty(layout)
            for side, part in parts:
                self._sides.keep(side, part, self._memory_bytes)

    def spool(self) -> None:
        """Move the rows out of memory."""
        with self._lock:
            if self._sides is not None:
                self._sides.spool()

    def close(self) -> None:
        """Free memory and disk."""
        if self._sides is not None:
            self._sides.close()

    def end(self, model: Model) -> Split:
        """End filling, and return the rows as the regression sees them.

        Raises:
            ModelError: no row can be used, or a class is none of the regression's.
        """
        sides, reader = self._sides, self.reader
        if sides is None:
            reason = f": the first image: {reader.reason}" if reader.reason else ""
            raise ModelError(f"no row can be used to tune {model.reference!r}{reason}")
        if not reader.columns.split_by:
            sides.stratify(self.ledger)
        if not sides.train.n_rows:
            raise ModelError("all rows are on the test side of the split: there is none to tune on")
        known = {text: place for place, text in enumerate(model.classes)}
        codes = np.empty(len(reader.codes), np.int64)
        for value, code in reader.codes.items():
            if text_of(value) not in known:
                raise ModelError(
                    f"class {text_of(value)!r} of label {reader.columns.label!r} is none that "
                    f"{model.reference!r} was trained on: train that anew with VISTA_TRAIN"
                )
            codes[code] = known[text_of(value)]
        for rows in (sides.train, sides.test):
            rows.seal(codes)
            rows.encode(_encoding(model, reader))
        moments = _moments(sides.train)
        for rows in (sides.train, sides.test):
            rows.rescale(moments, np.dtype(np.float32))
        return Split(sides, moments, self._threshold(sides.train))

    def _threshold(self, rows: TrainingRows) -> float:
        """Return below which place in the split training rows validate: a tenth, at least one.

        Raises:
            ModelError: all rows have one place.
        """
        tests = 0.0 if self.ledger.folds else self.ledger.test_fraction
        units = np.concatenate([chunk.unit.copy() for chunk in rows.chunks()])
        if units.min() == units.max():
            split_by = self.reader.columns.split_by
            those = f"one value of {', '.join(split_by)}" if split_by else "one row"
            raise ModelError(
                f"there is only {those} to tune on: it takes two, one to train on and one that "
                "stops the run early"
            )
        least = float(np.nextafter(units.min(), 2.0))
        most = float(units.max())  # so that one trains
        return min(max(tests + VALIDATION_SHARE * (1 - tests), least), most)


class Split(Struct, frozen=True):
    """The rows that train, those of them that stop early, and those that test."""

    sides: Sides
    moments: ColumnMoments  # of the structured features: what chunks are standardized by
    threshold: float

    def counts(self, n_classes: int) -> np.ndarray:
        """Return how many rows gradients are of, by class (classes,)."""
        found = np.zeros(n_classes)
        for part in self.training(0).parts():
            found += np.bincount(part.code, minlength=n_classes)
        return found

    def training(self, start: int) -> Examples:
        """Return the rows that gradients are of, with the maps of a start."""
        return Examples(self.sides.train, start, self.threshold, np.inf)

    def validation(self, start: int) -> Examples:
        """Return the training rows that stop early and choose the best epoch."""
        return Examples(self.sides.train, start, -np.inf, self.threshold)

    def test(self, start: int) -> Examples:
        """Return the rows that test."""
        return Examples(self.sides.test, start, -np.inf, np.inf)


def _encoding(model: Model, reader: RowReader) -> Encoding:
    """Return what made features of the regression's structured columns, for the rows' codes."""
    fill = None if model.fill is None else np.array(model.fill, np.float64)
    levels = []
    for name, texts in zip(reader.columns.texts, reader.texts_by_code, strict=True):
        names = tuple(model.levels[name])
        place = [names.index(text) if text in names else len(names) for text in texts]
        levels.append(Levels(names, 0, np.array(place, np.int64)))
    return Encoding(len(model.numbers), fill, tuple(levels))


def _moments(rows: TrainingRows) -> ColumnMoments:
    """Return mean and standard deviation of the structured features, in float64."""
    width = rows.layout.n_structured
    total, squares = np.zeros(width), np.zeros(width)
    for chunk in rows.chunks():
        total += _doubles(chunk).sum(axis=0)
    mean = total / max(1, rows.n_rows)
    for chunk in rows.chunks():
        squares += np.square(_doubles(chunk) - mean).sum(axis=0)
    variance = squares / max(1, rows.n_rows)
    constant = variance <= CONSTANT * np.square(mean)
    return ColumnMoments(mean, np.sqrt(np.where(constant, 0.0, variance)))


def _doubles(chunk: Chunk) -> Floats:
    values: Array = chunk.structured
    return values.astype(np.float64, copy=False)
