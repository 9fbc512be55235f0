"""Stable 64-bit hashes of column values and of feature rows, vectorised.

A row's side of a split, its place in the order of training and a data set's fingerprint come from
these, so they depend on values only: not on row order, batch cut, process or integer width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes: TypeAlias = npt.NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64's increment (Steele, Lea, Flood 2014)
CACHED_WORDS = 1 << 17  # 1 MiB
NULL_HASH = np.uint64(0xA0761D6478BD642F)


def mix(values: Hashes) -> Hashes:
    """Return splitmix64's finalizer of each value: every input bit changes every output bit."""
    with np.errstate(over="ignore"):
        x = values + GOLDEN
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def combine(parts: list[Hashes]) -> Hashes:
    """Return one hash per row of several columns' hashes; their order counts."""
    total = mix(parts[0])
    for part in parts[1:]:
        with np.errstate(over="ignore"):
            total = mix(total * np.uint64(31) + part)
    return total


def unit(hashes: Hashes, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) per row: the hash under `seed`, its upper 53 bits."""
    start = mix(np.array([seed & (2**64 - 1)], dtype=np.uint64))
    return (mix(hashes ^ start) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def fold_of(unit: npt.NDArray[np.float64], folds: int) -> npt.NDArray[np.int64]:
    """Return each row's fold (rows,) int64, from its place in [0, 1); all 0 without folds.

    >>> fold_of(np.array([0.1, 0.4, 0.99]), folds=3).tolist()
    [0, 1, 2]
    """
    return np.minimum((unit * max(1, folds)).astype(np.int64), max(1, folds) - 1)


@lru_cache(maxsize=32)
def _multipliers(n: int) -> Hashes:
    return mix(np.arange(n, dtype=np.uint64)) | np.uint64(1)


def hash_matrix(x: npt.NDArray[Any]) -> Hashes:
    """Return a hash per row of a float matrix (rows, values): Σ aᵢ·f(wordᵢ) mod 2⁶⁴, then mixed.

    Two float32 make a word, read as bits; the aᵢ are odd, so that rows that differ in one word
    never collide. f(w) = w ^ (w >> 29): round numbers end in zero bits, which a sum of products
    would turn into few bits of hash. A quarter of memory speed, in pieces that stay in cache.
    """
    x = np.ascontiguousarray(x)
    if x.dtype.itemsize == 4 and x.shape[1] % 2:
        x = np.concatenate([x, np.zeros((len(x), 1), x.dtype)], axis=1)
    hashes = np.zeros(len(x), dtype=np.uint64)
    if not x.size:
        return hashes
    words = x.view(np.uint64)
    multipliers = _multipliers(words.shape[1])
    step = max(1, CACHED_WORDS // words.shape[1])
    folded = np.empty((min(step, len(x)), words.shape[1]), np.uint64)
    for start in range(0, len(x), step):
        piece = words[start : start + step]
        into = folded[: len(piece)]
        np.right_shift(piece, np.uint64(29), out=into)
        np.bitwise_xor(piece, into, out=into)
        hashes[start : start + step] = into @ multipliers
    return mix(hashes)


def hash_column(array: pa.Array) -> Hashes:
    """Return a hash per value of a column of any flat type; equal numbers hash equally.

    Integers and booleans by value whatever their width, floats by their float64 bits (-0.0 as 0.0),
    text and bytes by their bytes, all else by its text.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_null(kind):
        return np.full(len(array), NULL_HASH, dtype=np.uint64)
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
        kind = array.type
    if pa.types.is_integer(kind):
        filled = pc.fill_null(array, 0).to_numpy(zero_copy_only=False)
        wide = filled if filled.dtype == np.uint64 else filled.astype(np.int64).view(np.uint64)
        hashes = mix(wide)
    elif pa.types.is_floating(kind):
        floats = pc.fill_null(array.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False) + 0.0
        hashes = mix(floats.view(np.uint64))
    else:
        hashes = _hash_bytes(array)
    if array.null_count:
        hashes = np.where(np.asarray(array.is_valid()), hashes, NULL_HASH)
    return hashes


def _hash_bytes(array: pa.Array) -> Hashes:
    """Hash text or bytes: Σ a(position)·(byte + 1) mod 2⁶⁴ and the length, mixed."""
    if not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)):
        array = array.cast(pa.large_string())
    array = pc.fill_null(array.cast(pa.large_binary()), b"")
    _, offsets_buffer, data = array.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[
        array.offset : array.offset + len(array) + 1
    ]
    lengths = np.diff(offsets)
    hashes = np.zeros(len(array), dtype=np.uint64)
    if len(array) and offsets[-1] > offsets[0]:
        raw = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]]
        starts = offsets[:-1] - offsets[0]
        position = np.arange(len(raw), dtype=np.int64) - np.repeat(starts, lengths)
        with np.errstate(over="ignore"):
            terms = _multipliers(int(lengths.max()))[position] * (raw.astype(np.uint64) + 1)
            filled = lengths > 0
            hashes[filled] = np.add.reduceat(terms, starts[filled])
    with np.errstate(over="ignore"):
        return mix(hashes + lengths.astype(np.uint64) * GOLDEN)
