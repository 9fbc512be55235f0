"""vista_quality: what people look for first in images, without inferring them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from time import perf_counter

import numpy as np
import pyarrow as pa
from msgspec.structs import asdict

from vista_sql.kernels import MOST_DECODING_BYTES, Kernel

from .images import quality
from .images.quality import Quality
from .passes.arrow import Column, spec_of
from .passes.counts import Amounts
from .passes.inputs import read_inputs
from .passes.reader import Reader
from .passes.reasons import Reasons
from .passes.runtime import Runtime

PART_IMAGES = 8  # measured by a thread, one after the other

_TYPES = {
    **dict.fromkeys(("format", "mode", "error"), ("VARCHAR", pa.string())),
    **dict.fromkeys(("width", "height"), ("INTEGER", pa.int32())),
    "bytes": ("BIGINT", pa.int64()),
    "gray": ("BOOLEAN", pa.bool_()),
}
_COLUMNS = {name: _TYPES.get(name, ("DOUBLE", pa.float64())) for name in Quality.__struct_fields__}
ARROW_TYPE = pa.struct([(name, kind) for name, (_, kind) in _COLUMNS.items()])
SQL_TYPE = f"STRUCT({', '.join(f'{chr(34)}{n}{chr(34)} {k}' for n, (k, _) in _COLUMNS.items())})"


def measure(runtime: Runtime, spec: Column, image: Column, key: Column) -> pa.StructArray:
    """Decode each image and measure it.

    Args:
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; only how images are read matters.
        image: BLOBs, or paths and URIs; NULL: no image.
        key: text that names the rows in errors; may be NULL.

    Returns:
        STRUCT of the fields of `quality.Quality`, row i for row i; all NULL where there is no
        image, and all that is not known where it cannot be read.
    """
    order = spec_of(spec)
    if order is None:
        return pa.array([], ARROW_TYPE)
    inputs = read_inputs(runtime, order, image, key)
    images, reasons = inputs.images, Reasons(inputs)
    most_bytes = order.decoding_bytes or MOST_DECODING_BYTES

    def do(part: Sequence[int]) -> list[Quality]:
        reader, amounts, found = Reader(inputs), Amounts(), []
        with closing(reader.portions(part, fetched=False)) as portions:
            for number in (number for portion in portions for number in portion):
                runtime.raise_if_cancelled()
                data, reason = reader.take(number)
                began = perf_counter()
                one = Quality(error=reason) if data is None else quality.measure(data, most_bytes)
                reader.let_go(number)
                amounts.decode_seconds += perf_counter() - began
                amounts.decoded += data is not None
                found.append(one)
        amounts.read_seconds = reader.seconds
        runtime.count(order.run, **amounts.by_name())
        return found

    starts = range(0, len(images), PART_IMAGES)
    parts = [range(start, min(start + PART_IMAGES, len(images))) for start in starts]
    runtime.tally(order.run, order.call, images.n_rows, images.n_not_null)
    measured = [one for part in runtime.threads.decoders().map(do, parts) for one in part]
    places = np.full(images.n_rows, len(measured))
    for number, one in enumerate(measured):
        places[images.rows(number)] = number
        if one.error is not None:
            reasons.tell(number, one.error)
    every = pa.array([*map(asdict, measured), asdict(Quality())], ARROW_TYPE)
    return every.take(pa.array(places))


KERNELS = (Kernel("vista_quality", None, SQL_TYPE, measure),)
