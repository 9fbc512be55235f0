"""vista_error: whether each image can be read, without inferring it."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pyarrow as pa

from vista_sql import store
from vista_sql.errors import UnreadableImageError
from vista_sql.kernels import Kernel

from .images import sources
from .images.columns import image_column, wanted
from .images.distinct import Images, decode
from .passes.arrow import Column, one_array, spec_of
from .passes.clock import Spent
from .passes.runtime import Runtime
from .passes.stored import Stored


def error(runtime: Runtime, spec: Column, image: Column, key: Column) -> pa.Array:
    """Decode each image and return why it cannot be read.

    Args:
        runtime: shared by the process's kernels; it remembers how images decoded before.
        spec: an InferSpec as text, the same in every row.
        image: BLOBs, or paths and URIs; NULL: no image, which is no error.
        key: text that names the rows in errors; may be NULL.

    Returns:
        VARCHAR, row i for row i: the reason, or NULL where the image is fine or NULL.

    Raises:
        UnreadableImageError: an image cannot be read and the spec's `on_error` is 'raise'.
    """
    order = spec_of(spec)
    if order is None:
        return pa.nulls(0, pa.string())
    cnn = runtime.opened(order).cnn
    images = Images(image_column(wanted(runtime, order, image), order), order.folder)
    channels = cnn.preprocessing.order

    kept = runtime.store(order)
    stored = None
    if kept is not None:
        stored = Stored(kept, order, runtime.opened(order), (), runtime.unusable)
    fresh: list[bytes] = []  # digests of images that were decoded, and are not in the store

    def outcome(one: int) -> str | None:
        identity: Hashable = images.identity(one)
        known, reason = runtime.outcome((channels, identity))
        if not known:
            spent = Spent()
            data, reason = images.fetch(one, spent)
            digest = b""
            if data is not None and stored is not None:
                digest = identity if isinstance(identity, bytes) else store.digest(data)
            decoded = data is not None and not (digest and stored and stored.readable(digest))
            if data is not None and decoded:
                pixels = np.empty(cnn.input_shape, np.uint8)
                reason = decode(data, channels, pixels, spent)
                if reason is None and digest:
                    fresh.append(digest)
            runtime.count(
                order.run,
                decoded=int(decoded),
                read_seconds=spent.read,
                decode_seconds=spent.decode,
            )
            if sources.is_stable(identity):
                runtime.set_outcome((channels, identity), reason)
        return reason

    keys = one_array(key)
    runtime.tally(order.run, order.call, len(images.not_null), int(images.not_null.sum()))
    reasons = np.full(len(images.not_null), None, object)
    found = list(runtime.pool().map(outcome, range(len(images))))
    if stored is not None:
        stored.keep_readable(fresh)
    for one, reason in enumerate(found):
        if reason is not None:
            reasons[images.rows(one)] = reason
            for row in images.rows(one):
                name = keys[int(row)].as_py()
                told = "" if name is None else str(name)
                runtime.unreadable(order.run, told, reason, order.call)
                if order.on_error == "raise":
                    raise UnreadableImageError("NULL" if name is None else told, reason)
    return pa.array(reasons, pa.string())


KERNELS = (Kernel("vista_error", None, "VARCHAR", error),)
