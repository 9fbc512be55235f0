"""What the feature store holds of a workload's images, told from a few of them.

The store is asked which layers it has anything of; only then some images are read and looked up.
They are those with the smallest hashes of their keys: any share of the rows is hit alike, and the
same data gives the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from vista_sql import roster, weights
from vista_sql.errors import StoreError, VistaError
from vista_sql.planning import rewrite
from vista_sql.planning.workload import Stored, Workload
from vista_sql.sql.quoting import identifier
from vista_sql.store import Space, Store, device_class, digest, space

SAMPLE_IMAGES = 64
"""An image's share of the rows is then told to within some 6 % (its standard deviation)."""

MOST_BYTES = 1 << 24
"""A file that is larger is not read for planning."""

Images = Callable[[str], Sequence[bytes | str | None]]
"""A SELECT of one column → its values: images, or paths of images."""


def look(workload: Workload, name: str, images: Images) -> tuple[Stored, ...]:
    """Return what the store holds of the workload's images; () where nothing, or nothing is known.

    Args:
        workload: columns known.
        name: an identifier that no user's name equals; generated ones begin with it.
        images: asks the database.
    """
    if not workload.store.folder or workload.image_column is None or not workload.used_taps:
        return ()
    store = Store(workload.store.folder, workload.store.limit_bytes)
    try:
        features, maps = _spaces(workload, {held.space for held in store.held()})
    except (StoreError, VistaError):
        return ()
    if not features and not maps:
        return ()
    digests = [digest(data) for data in map(_bytes, images(_sample(workload, name))) if data]
    found: Counter[tuple[frozenset[str], frozenset[str]]] = Counter()
    with store.reading() as reading:
        if reading is None or not digests:
            return ()
        for one in digests:
            layers = frozenset(n for n, there in features.items() if reading.has(there, one))
            bases = frozenset(n for n, there in maps.items() if reading.has(there, one))
            found[layers, bases] += 1
    return tuple(
        Stored(layers, bases, n / len(digests))
        for (layers, bases), n in sorted(found.items(), key=lambda item: (-item[1], str(item[0])))
    )


def file_bytes(workload: Workload, images: Images) -> float | None:
    """Return the mean size of some of the files that the image column names; None: none is here."""
    image = identifier(workload.image_column or "")
    sizes = []
    for value in images(f"SELECT {image} FROM {workload.images.text} LIMIT {SAMPLE_IMAGES}"):
        try:
            sizes.append(_path(str(value)).stat().st_size)
        except (OSError, ValueError):
            continue  # elsewhere, or not there at all
    return sum(sizes) / len(sizes) if sizes else None


def _spaces(workload: Workload, held: set[Space]) -> tuple[dict[str, Space], dict[str, Space]]:
    """Return the spaces of used layers' features, and of raw maps, that hold anything."""
    cnn = workload.cnn
    if cnn.name == roster.DESCRIPTOR or not _is_here(workload):
        return {}, {}
    identity = weights.resolve(cnn, workload.weights, workload.seed).identity
    device = device_class(workload.device)

    def of(layer: str, pool: str) -> Space:
        return space(cnn, identity, layer, pool, workload.dtype, device=device)

    used = [tap.layer.name for tap in workload.used_taps if tap.cnn is None]
    features = {layer: of(layer, workload.pool) for layer in used}
    named = {one.layer for one in held if one.cnn == of(used[0], "none").cnn} if used else set()
    maps = {layer.name: of(layer.name, "none") for layer in cnn.layers if layer.name in named}
    return (
        {layer: there for layer, there in features.items() if there in held},
        {layer: there for layer, there in maps.items() if there in held},
    )


def _is_here(workload: Workload) -> bool:
    """Return whether the weights can be told apart without downloading them."""
    cnn = workload.cnn
    chosen = (workload.weights or cnn.default_weights).lower()
    return chosen not in cnn.weights or chosen in weights.available(cnn)


def _sample(workload: Workload, name: str) -> str:
    """Return the SELECT of some images of the rows that are to be inferred."""
    keys = replace(workload, image_column=workload.image_key)
    staged = rewrite.narrow(keys, name)
    image, key = identifier(workload.image_column or ""), identifier(workload.image_key)
    chosen = (
        f"SELECT {staged.image_name} FROM (\n{staged.rows}\n) "
        f"ORDER BY hash({staged.image_name}) LIMIT {SAMPLE_IMAGES}"
    )
    return (
        f"SELECT {image} FROM {workload.images.text} WHERE {key} IN (\n{chosen}\n) "
        f"LIMIT {2 * SAMPLE_IMAGES}"
    )


def _path(text: str) -> Path:
    return Path(text.removeprefix("file://"))


def _bytes(value: bytes | str | None) -> bytes | None:
    """Return the encoded image that a value is or names; None where it is not at hand."""
    if not isinstance(value, str):
        return value
    try:
        path = _path(value)
        return path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except (OSError, ValueError):
        return None  # elsewhere, or not there at all
