"""vista_error: whether each image can be read, without inferring it."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa

from vista_sql.kernels import Kernel

from .passes.arrow import Column, spec_of
from .passes.counts import Amounts
from .passes.decoder import Decoder
from .passes.inputs import read_inputs
from .passes.lookup import Lookup, Sought
from .passes.outputs import Outputs
from .passes.reader import Reader
from .passes.reasons import Reasons
from .passes.results import Results
from .passes.runtime import Runtime
from .passes.store_view import READABLE, store_view


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
    inputs = read_inputs(runtime, order, image, key)
    images, reasons = inputs.images, Reasons(inputs)
    view = store_view(inputs, (READABLE,))
    lookup = Lookup(inputs, Outputs(inputs, (READABLE,)), view, Results(images, n_layers=0))
    decoder = Decoder(inputs)

    def seek(one: int) -> Sought:
        """Return why an image cannot be read, and whether that is news for the store."""
        known, reason = reasons.recall(one)
        if known:
            return Sought(reason=reason)
        reader, amounts = Reader(inputs, {}), Amounts()
        (sought,) = lookup.look([one], reader, amounts)
        if sought.missing:
            pixels = np.empty(decoder.shape, np.uint8)
            sought = replace(sought, reason=decoder.decode(one, pixels, reader, amounts))
        amounts.read_seconds = reader.seconds
        runtime.count(order.run, **asdict(amounts))
        reasons.remember(one, sought.reason)
        return sought

    runtime.tally(order.run, order.call, images.n_rows, images.n_not_null)
    found = list(runtime.threads.decoders().map(seek, range(len(images))))
    if view is not None:
        view.keep_readable([s.digest for s in found if s.digest and s.missing and not s.reason])
    for one, sought in enumerate(found):
        if sought.reason is not None:
            reasons.tell(one, sought.reason)
    return reasons.column()


KERNELS = (Kernel("vista_error", None, "VARCHAR", error),)
