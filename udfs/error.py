"""vista_error: whether each image can be read, without inferring it."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pyarrow as pa

from vista_sql.errors import UnreadableImageError
from vista_sql.kernels import Kernel

from . import _sources
from ._arrow import Column, one_array, spec_of
from ._clock import Spent
from ._columns import image_column, wanted
from ._flow import Images
from ._runtime import Runtime


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

    def outcome(one: int) -> str | None:
        identity: Hashable = images.identity(one)
        known, reason = runtime.outcome((channels, identity))
        if not known:
            spent = Spent()
            reason = images.decode(one, channels, np.empty(cnn.input_shape, np.uint8), spent)
            runtime.count(
                order.run, decoded=1, read_seconds=spent.read, decode_seconds=spent.decode
            )
            if _sources.is_stable(identity):
                runtime.set_outcome((channels, identity), reason)
        return reason

    keys = one_array(key)
    runtime.tally(order.run, order.call, len(images.not_null), int(images.not_null.sum()))
    reasons = np.full(len(images.not_null), None, object)
    for one, reason in enumerate(runtime.pool().map(outcome, range(len(images)))):
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
