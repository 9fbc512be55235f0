"""vista_prepared: images decoded and brought to a size, for later statements."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from vista_sql.errors import ArgumentError
from vista_sql.kernels import Kernel
from vista_sql.roster import Framing

from .images import prepared
from .images.opencv import Pixels, opencv
from .images.prepared import Wanted
from .passes.arrow import Column, one_array, spec_of
from .passes.counts import Amounts
from .passes.decoder import Decoder
from .passes.inputs import Inputs, read_inputs
from .passes.reader import Reader
from .passes.reasons import Reasons
from .passes.runtime import Runtime

PART_IMAGES = 8  # decoded by a thread, one after the other

JPEG_QUALITY = 95

MOST_BYTES = 1 << 32
"""Of the raw images that one call returns: DuckDB asks for 2,048, and copies what it gets."""

ARROW_TYPE = pa.struct([("image", pa.large_binary()), ("error", pa.string())])


def prepare(
    runtime: Runtime, spec: Column, how: Column, image: Column, key: Column
) -> pa.StructArray:
    """Decode each image, bring it to a size, and return it.

    Args:
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; only how images are read matters.
        how: JSON, the same in every row: `format`, 'raw', 'png' or 'jpeg'; the `order` of the
            network's channels, its input's `shape`, and the fields of its `framing`.
        image: BLOBs, or paths and URIs; NULL: no image.
        key: text that names the rows in errors; may be NULL.

    Returns:
        STRUCT, row i for row i: the `image`, NULL where there is none, and the reason (`error`)
        where it cannot be read.

    Raises:
        UnreadableImageError: an image cannot be read and the spec's `on_error` is 'raise'.
        ArgumentError: an image is a prepared one, of another preprocessing; or the images of the
            call are more than MOST_BYTES.
    """
    order = spec_of(spec)
    if order is None:
        return pa.array([], ARROW_TYPE)
    wish = json.loads(one_array(how)[0].as_py())
    inputs = read_inputs(runtime, order, image, key)
    inputs = replace(inputs, wanted=_wanted(wish))
    images, reasons = inputs.images, Reasons(inputs)
    work = _Work(inputs, wish["format"])
    starts = range(0, len(images), PART_IMAGES)
    parts = [range(start, min(start + PART_IMAGES, len(images))) for start in starts]
    runtime.tally(order.run, order.call, images.n_rows, images.n_not_null)
    for part, found in zip(parts, runtime.threads.decoders().map(work.do, parts), strict=True):
        for number, reason in zip(part, found, strict=True):
            if reason is not None:
                reasons.tell(number, reason)
    rows = np.full(images.n_rows, -1)
    for number in range(len(images)):
        rows[images.rows(number)] = number
    places = pa.array(rows, pa.int64(), mask=~reasons.present)
    every = work.column()
    in_order = np.array_equal(rows, np.arange(len(images))) and bool(reasons.present.all())
    return pa.StructArray.from_arrays(
        [every if in_order else every.take(places), reasons.column()], fields=list(ARROW_TYPE)
    )


def _wanted(how: Mapping[str, Any]) -> Wanted:
    framing = Framing(**how["framing"] | {"border": tuple(how["framing"]["border"])})
    height, width, channels = how["shape"]
    return Wanted(how["order"], framing, (height, width, channels)).prepared


class _Work:
    """The images of one call, decoded by several threads into what the call returns."""

    def __init__(self, inputs: Inputs, form: str) -> None:
        self._inputs, self._form = inputs, form
        self._decoder = Decoder(inputs)
        n_images, height, width, channels = len(inputs.images), *inputs.wanted.shape
        self._item_bytes = prepared.HEAD_BYTES + height * width * channels
        n_kept = n_images if form == "raw" else 0
        if n_kept * self._item_bytes > MOST_BYTES:
            size, most = n_images * self._item_bytes, MOST_BYTES // self._item_bytes
            raise ArgumentError(
                f"{n_images:,} raw images of {height} × {width} pixels take {size / 1e9:.0f} GB, "
                f"and DuckDB asks for so many at once: take at most {most:,} images in a "
                "statement, a smaller size, or format => 'jpeg'"
            )
        self._raw = np.zeros((n_kept, self._item_bytes), np.uint8)
        self._encoded: list[bytes | None] = [None] * n_images

    def do(self, images: range) -> list[str | None]:
        """Prepare images; return for each why it cannot be."""
        reader, amounts = Reader(self._inputs), Amounts()
        with closing(reader.portions(images, fetched=False)) as portions:
            found = [self._one(i, reader, amounts) for portion in portions for i in portion]
        amounts.read_seconds = reader.seconds
        self._inputs.runtime.count(self._inputs.spec.run, **amounts.by_name())
        return found

    def _one(self, image: int, reader: Reader, amounts: Amounts) -> str | None:
        if self._form != "raw":
            pixels = np.empty(self._decoder.shape, np.uint8)
            reason = self._decoder.decode(image, pixels, reader, amounts)
            self._encoded[image] = None if reason else _encoded(pixels, self._form)
            return reason
        head, body = np.split(self._raw[image], [prepared.HEAD_BYTES])
        pixels = body.reshape(self._decoder.shape)
        reason = self._decoder.decode(image, pixels, reader, amounts)
        if reason is None:
            prepared.encode(pixels, self._inputs.wanted, head)
        return reason

    def column(self) -> pa.Array:
        """Return what came of each image; anything where it cannot be read."""
        if self._form != "raw":
            return pa.array(self._encoded, pa.large_binary())
        offsets = np.arange(len(self._raw) + 1, dtype=np.int64) * self._item_bytes
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self._raw)]
        return pa.Array.from_buffers(pa.large_binary(), len(self._raw), buffers)


def _encoded(pixels: Pixels, form: str) -> bytes:
    """Return pixels, RGB or gray, as a PNG or a JPEG."""
    cv2 = opencv()
    image = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if form == "jpeg" else []
    _, data = cv2.imencode(f".{form}", image, options)
    return bytes(data)


KERNELS = (Kernel("vista_prepared", None, 'STRUCT(image BLOB, "error" VARCHAR)', prepare),)
