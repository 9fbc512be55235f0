"""vista_error: whether each image can be read, without inferring it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import groupby

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from vista_sql.kernels import Kernel

from .passes.arrow import Column, spec_of
from .passes.counts import Amounts
from .passes.decoder import Decoder
from .passes.inputs import read_inputs
from .passes.lookup import Lookup, Sought
from .passes.outputs import Outputs
from .passes.reader import Reader
from .passes.reasons import Reasons
from .passes.regions import tell_boxes
from .passes.results import Results
from .passes.runtime import Runtime
from .passes.store_view import READABLE, store_view
from .passes.windows import parts

PART_IMAGES = 8  # looked up together; where there is a store, a thread holds their bytes


def error(
    runtime: Runtime, spec: Column, image: Column, key: Column, box: Column | None = None
) -> pa.Array:
    """Decode each image and return why it cannot be read.

    Args:
        runtime: shared by the process's kernels; it remembers how images decoded before.
        spec: an InferSpec as text, the same in every row.
        image: BLOBs, or paths and URIs; NULL: no image, which is no error.
        key: text that names the rows in errors; may be NULL.
        box: as vista_infer's.

    Returns:
        VARCHAR, row i for row i: the reason, or NULL where the image is fine or NULL.

    Raises:
        UnreadableImageError: an image cannot be read and the spec's `on_error` is 'raise'.
    """
    order = spec_of(spec)
    if order is None:
        return pa.nulls(0, pa.string())
    inputs = read_inputs(runtime, order, image, key, box)
    images, reasons = inputs.images, Reasons(inputs)
    view = store_view(inputs, (READABLE,))
    lookup = Lookup(inputs, Outputs(inputs, (READABLE,)), view, Results(images, n_layers=0))
    decoder = Decoder(inputs)

    def seek(part: Sequence[int]) -> dict[int, Sought]:
        """Return what looking for each image of a part came to."""
        reader, amounts = Reader(inputs), Amounts()
        recalled = {number: reasons.recall(number) for number in part}
        sought = {
            number: Sought(reason=reason) for number, (known, reason) in recalled.items() if known
        }
        if inputs.boxes is not None:  # the sides of their images are asked for, too
            for number, one in sought.items():
                if one.reason is None:
                    _, gone = reader.fetch(number)
                    reader.let_go(number)
                    sought[number] = Sought(reason=gone)
        new = [number for number in part if number not in sought]
        pixels = np.empty(decoder.shape, np.uint8)
        with closing(reader.portions(new, fetched=view is not None)) as portions:
            for portion in portions:
                looked = dict(zip(portion, lookup.look(portion, reader, amounts), strict=True))
                # else the store knows that it can be decoded
                unknown = [number for number in portion if looked[number].missing]
                for _, group in groupby(unknown, images.source):
                    some = list(group)
                    outs = [pixels] * len(some)
                    told = decoder.decode_together(some, outs, reader, amounts)
                    for number, reason in zip(some, told, strict=True):
                        looked[number] = replace(looked[number], reason=reason)
                for number, one in looked.items():
                    reasons.remember(number, one.reason)
                sought |= looked
        amounts.read_seconds = reader.seconds
        runtime.count(order.run, **amounts.by_name())
        return sought

    runtime.tally(order.run, order.call, images.n_rows, images.n_not_null)
    cuts = parts([images.source(number) for number in range(len(images))], PART_IMAGES)
    sought: dict[int, Sought] = {}
    for part in runtime.threads.decoders().map(seek, [range(len(images))[cut] for cut in cuts]):
        sought |= part
    if view is not None:
        decoded = [s.digest for s in sought.values() if s.digest and s.missing and not s.reason]
        view.keep_readable(decoded)
    for number in range(len(images)):
        if (reason := sought[number].reason) is not None:
            reasons.tell(number, reason)
    tell_boxes(inputs, reasons)
    return reasons.column()


KERNELS = (Kernel("vista_error", None, "VARCHAR", error),)
