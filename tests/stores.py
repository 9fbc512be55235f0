"""Entries of a feature store that tell by themselves what they must read as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vista_sql import roster, store
from vista_sql.store import Entry, Store

LENET = roster.load("lenet5")


def space(layer: str = "f6", pool: str = "none", weights: str = "random:0", **options: Any) -> Any:
    """Return where features of LeNet-5 are kept."""
    return store.space(LENET, weights, layer, pool, device="cpu", **options)


SPACE = space()


def key(i: int) -> bytes:
    """Return the key of image `i`."""
    return store.digest(b"image %d" % i)


def entries(numbers: Iterable[int], of: Any = SPACE, size: int = 3000) -> list[Entry]:
    """Return entries of `size` bytes, each filled with its number."""
    return [Entry(of, key(i), 0, size, i.to_bytes(4) * (size // 4)) for i in numbers]


def read(kept: Store, i: int, of: Any = SPACE) -> bytes | None:
    """Return the bytes of image `i`, None where there are none."""
    with kept.reading() as reading:
        packed = None if reading is None else reading.get(of, key(i))
        return None if packed is None else bytes(packed.payload)
