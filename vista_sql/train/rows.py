"""Batches of Arrow columns → `Chunk`s: float64 numbers, float32 matrices, label codes.

A row is used if its label is there and all its features are numbers; NULL, NaN, infinite and too
large features make a row skipped and counted. With `fills` NULL and NaN stay in columns of numbers,
and as many columns after them say where. Text columns come last, as codes, of which NULL has one.
Float32's range bounds layers, and LARGEST numbers, which stay float64 until they are rescaled.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct, field

from vista_sql.errors import ModelError
from vista_sql.train import hashing
from vista_sql.train.chunks import Array, Chunk, Layout
from vista_sql.train.columns import Columns, excluding, is_reason
from vista_sql.train.mistakes import Keys

MAX_CLASSES = 1000  # weights and scores are kept per class; beyond, a label is a key or a number
MAX_TEXTS = 10_000  # distinct values of a text column: beyond, it is a key or prose
MAX_TEXT_CHARACTERS = 1000  # of one of them, so that all are a few MiB

LARGEST = 1e100  # structured: sums of squares stay finite; layers end where float32 does


def columns_of(struct: pa.Array | pa.ChunkedArray) -> dict[str, pa.Array]:
    """Return the fields of a struct array by name, as plain arrays."""
    if isinstance(struct, pa.ChunkedArray):
        struct = struct.combine_chunks()
        if isinstance(struct, pa.ChunkedArray):  # zero chunks, or too long for one
            struct = pa.concat_arrays(struct.chunks)
    return dict(zip((f.name for f in struct.type), struct.flatten(), strict=True))


def numbers(array: pa.Array) -> Array:
    """Return a numeric or BOOLEAN column as (n,) float64; NULL becomes NaN."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    return np.asarray(
        pc.fill_null(array.cast(pa.float64(), safe=False), float("nan")).to_numpy(
            zero_copy_only=False
        )
    )


def fits(values: Array) -> Array:
    """Return (n,) bool: which values (n,) float64 are numbers that can be computed with."""
    return np.asarray(np.abs(values) <= LARGEST)


def matrix(name: str, array: pa.Array, size: int | None) -> tuple[Array | None, Array, int | None]:
    """Return a layer column as a matrix.

    Args:
        name: the column's.
        array: (rows,) a list or fixed-size list of FLOAT or DOUBLE.
        size: values a list, where other batches have told.

    Returns:
        (rows, size) float32, whose values mean nothing in rows that are not usable; usable rows
        (rows,) bool: no NULL, all finite in float32; the size. Matrix and size are None where the
        column has only NULLs and `size` is None.

    Raises:
        ModelError: lists of several lengths.
    """
    n = len(array)
    usable = np.asarray(array.is_valid())
    if pa.types.is_fixed_size_list(array.type):
        n_values = int(array.type.list_size)
        values = array.values.slice(array.offset * n_values, n * n_values)
    else:
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        distinct = np.unique(lengths[usable])
        if len(distinct) > 1 or (len(distinct) == 1 and size not in (None, distinct[0])):
            both = sorted({*distinct.tolist(), *(() if size is None else (size,))})
            raise ModelError(
                f"column {name!r} holds lists of {both[0]} and of {both[1]} values: the lists of a "
                "layer have one length"
            )
        if len(distinct):
            n_values = int(distinct[0])
        elif size is not None:
            n_values = size
        else:
            return None, usable, None
        values = (array if usable.all() else array.filter(pa.array(usable))).flatten()
    if size is not None:
        check_size(name, size, n_values)
    if n_values == 0:
        raise ModelError(
            f"column {name!r} holds empty lists, which are no features: make them NULL, or leave "
            "the column out"
        )
    flat = np.asarray(values.to_numpy(zero_copy_only=False))
    with np.errstate(over="ignore"):  # beyond float32: infinite, and so not usable
        flat = flat.astype(np.float32, copy=False)
    if len(flat) == n * n_values:
        x = flat.reshape(n, n_values)
    else:
        x = np.zeros((n, n_values), np.float32)
        x[usable] = flat.reshape(-1, n_values)
    finite = np.isfinite(x)
    if not finite.all():
        usable = usable & finite.all(axis=1)
    return x, usable, n_values


def check_size(name: str, known: int, size: int) -> None:
    """Raise ModelError where the lists of a layer's column are of two lengths."""
    if size != known:
        raise ModelError(
            f"column {name!r} holds lists of {known} and of {size} values: the lists of a layer "
            "have one length"
        )


class Skip(Struct, frozen=True):
    """Why rows are skipped: a column without a usable value.

    >>> str(Skip("label", "y")), str(Skip("feature", "fc6"))
    ("label 'y' is NULL", "column 'fc6' is NULL, not finite or too large")
    """

    part: Literal["label", "feature"]
    column: str

    def __str__(self) -> str:
        match self.part:
            case "label":
                return f"label {self.column!r} is NULL"
            case "feature":
                return f"column {self.column!r} is NULL, not finite or too large"
            case _:
                assert_never(self.part)


class RowReader(Struct):
    """Turns batches of rows into `Chunk`s, from several threads at once."""

    columns: Columns
    seed: int
    sizes: dict[str, int] = field(default_factory=dict)  # of layers, once seen
    skipped: Counter[Skip] = field(default_factory=Counter)  # rows
    codes: dict[Any, int] = field(default_factory=dict)  # label value → code, in order of arrival
    lock: threading.Lock = field(default_factory=threading.Lock)
    texts: dict[str, dict[str | None, int]] = field(default_factory=dict)  # likewise, by column
    fills: bool = False  # NULL in a column of numbers is no reason to skip the row
    reason: str | None = None  # TRANSFER's, of the first row that is skipped with one
    of_numbers: bool = False  # the label is one: each value has a code, however many there are
    keys: Keys = field(default_factory=Keys)  # of classes only
    carried: tuple[str, ...] = ()  # columns of lists beside the features, no part of what a row is

    @property
    def _lists(self) -> tuple[str, ...]:
        """The columns that are a chunk's layers."""
        return (*self.columns.layers, *self.carried)

    @property
    def layout(self) -> Layout:
        """How wide a row is, as it is stored; known once a row has been read."""
        sizes = tuple(self.sizes[name] for name in self._lists)
        n_dense = len(self.columns.numbers) * (2 if self.fills else 1)
        return Layout(n_dense + len(self.columns.texts), sizes)

    @property
    def texts_by_code(self) -> list[list[str | None]]:
        """What the codes of each text column stand for."""
        with self.lock:
            return [list(self.texts.get(name, ())) for name in self.columns.texts]

    def read(self, batch: Mapping[str, pa.Array]) -> tuple[Chunk, Array | None] | None:
        """Return the usable rows of a batch, and hashes of their layers.

        Args:
            batch: columns by name, of equal length.

        Returns:
            None if no row is usable. Else a chunk, whose layers may lie in the batch's memory,
            which is the engine's: copy what is kept; and (rows,) uint64, None without layers.

        Raises:
            ModelError: lists of several lengths, or too many values of the label.
        """
        label = batch[self.columns.label]
        usable = np.asarray(label.is_valid())
        if self.of_numbers or pa.types.is_floating(label.type):
            usable &= fits(numbers(label))
        skipped: Counter[Skip] = Counter()
        if not usable.all():
            skipped[Skip("label", self.columns.label)] += int((~usable).sum())

        def need(name: str, good: Array) -> None:
            bad = usable & ~good
            if bad.any():
                skipped[Skip("feature", name)] += int(bad.sum())
                usable[bad] = False

        k = len(self.columns.numbers)
        structured = np.empty((len(label), 2 * k if self.fills else k), np.float64)
        for i, name in enumerate(self.columns.numbers):
            structured[:, i] = numbers(batch[name])
            if self.fills:  # NaN until `rescale` knows the mean
                structured[:, k + i] = np.isnan(structured[:, i])
            need(name, fits(structured[:, i]) | (self.fills and np.isnan(structured[:, i])))
        layers: list[Array | None] = []
        for name in self._lists:
            x, good, size = matrix(name, batch[name], self.sizes.get(name))
            if size is not None:
                check_size(name, self.sizes.setdefault(name, size), size)
            need(name, good)
            layers.append(x)
        reason = None if self.reason or usable.all() else self._reason(batch, usable)
        with self.lock:
            self.skipped.update(skipped)
            self.reason = self.reason or reason
        matrices = [x for x in layers if x is not None]
        if not usable.any() or len(matrices) < len(layers):
            return None
        return self._chunk(batch, usable, structured, matrices)

    def _reason(self, batch: Mapping[str, pa.Array], usable: Array) -> str | None:
        """Return why the first image is missing that is, in the words of TRANSFER."""
        types = {name: column.type for name, column in batch.items()}
        for name, kind in types.items():
            if is_reason(name, types) and pa.types.is_string(kind):
                reasons = batch[name].filter(pa.array(~usable)).drop_null()
                if len(reasons):
                    return str(reasons[0].as_py())
        return None

    def _chunk(
        self, batch: Mapping[str, pa.Array], usable: Array, structured: Array, layers: list[Array]
    ) -> tuple[Chunk, Array | None]:
        columns = self.columns
        all_usable = bool(usable.all())
        mask = pa.array(usable)

        def column(name: str) -> pa.Array:
            return batch[name] if all_usable else batch[name].filter(mask)

        if not all_usable:
            structured = structured[usable]
            layers = [x[usable] for x in layers]
        label = column(columns.label)
        images = [hashing.hash_matrix(x) for x in layers[: len(columns.layers)]]
        texts = [column(name) for name in columns.texts]
        content = [
            hashing.hash_column(label),
            hashing.hash_matrix(structured),
            *map(hashing.hash_column, texts),  # by their text: codes go by who came first
            *images,
        ]
        key = [hashing.hash_column(column(columns.key))] if columns.key else []
        groups = [hashing.hash_column(column(name)) for name in columns.split_by]
        split = hashing.combine(groups or key or content)
        chunk = Chunk(
            hash=hashing.combine([*content, *key, *groups]),
            unit=hashing.unit(split, self.seed),
            code=self._code(label),
            structured=self._with_texts(structured, texts),
            layers=tuple(layers),
        )
        if columns.key and not self.of_numbers:
            with self.lock:
                self.keys.add(chunk.hash, column(columns.key))
        return chunk, hashing.combine(images) if images else None

    def _code(self, label: pa.Array) -> Array:
        if self.of_numbers:
            label = pa.array(numbers(label) + 0.0)  # -0.0 is 0.0
        codes = self._coded(label, self.codes)
        self.check_classes()
        return codes

    def check_classes(self) -> None:
        """Raise ModelError where the label has too many values for classes."""
        if len(self.codes) > MAX_CLASSES and not self.of_numbers:
            raise ModelError(
                f"label {self.columns.label!r} has more than {MAX_CLASSES:,} distinct values: "
                "that looks like a key or a measurement, not a class; trainer => 'linear' learns a "
                "number, or group its values in the data"
            )

    def _with_texts(self, structured: Array, texts: list[pa.Array]) -> Array:
        """Return structured columns (rows, numbers) with the codes of text columns after them."""
        if not texts:
            return structured
        coded = []
        for name, column in zip(self.columns.texts, texts, strict=True):
            longest = pc.max(pc.utf8_length(_plain(column))).as_py() or 0
            with self.lock:
                known = self.texts.setdefault(name, {})
            coded.append(self._coded(_plain(column), known))
            self.check_texts(name, longest)
        return np.column_stack([structured, *coded])

    def check_texts(self, name: str, longest: int = 0) -> None:
        """Raise ModelError where a text column is no category.

        Args:
            name: the column's.
            longest: characters of one of its values.
        """
        if len(self.texts[name]) > MAX_TEXTS or longest > MAX_TEXT_CHARACTERS:
            found = (
                f"more than {MAX_TEXTS:,} distinct values"
                if longest <= MAX_TEXT_CHARACTERS
                else f"a value of {longest:,} characters"
            )
            raise ModelError(
                f"column {name!r} has {found}: it is a key or prose, not a category; group its "
                f"values in the data, or leave it out with {excluding([name])}"
            )

    def _coded(self, column: pa.Array, known: dict[Any, int]) -> Array:
        """Return the codes (n,) int64 of a column's values, new ones of which become `known`."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode(null_encoding="encode")
        values = column.dictionary.to_pylist()
        indices = column.indices.to_numpy(zero_copy_only=False)
        codes = np.zeros(len(values), np.int64)  # of the values of this batch's dictionary
        with self.lock:
            for i in np.unique(indices):
                codes[i] = known.setdefault(values[i], len(known))
        return np.asarray(codes[indices])


def _plain(column: pa.Array) -> pa.Array:
    """Return a text column, of any Arrow type, as plain strings."""
    return column.cast(pa.large_string())


def text_of(value: Any) -> str:
    """Return a label's value as the text that DuckDB casts back to it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
