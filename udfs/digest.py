"""vista_digest: digests of images' bytes and of their pixels, by which equal ones are told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from vista_sql.kernels import MOST_DECODING_BYTES, Kernel

from .images import headers
from .images.decoding import decode_picture
from .passes.arrow import Column, spec_of
from .passes.inputs import Inputs, read_inputs
from .passes.reader import Reader
from .passes.runtime import Runtime

PART_IMAGES = 8  # that one thread takes at a time

FIELDS = ("bytes1", "bytes2", "pixels1", "pixels2")
SQL_TYPE = f"STRUCT({', '.join(f'{name} UBIGINT' for name in FIELDS)})"


def digest(runtime: Runtime, spec: Column, image: Column, key: Column) -> pa.StructArray:
    """Return the digests of images; those that cannot be read have none, of pixels at least.

    Args:
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; its network is not used.
        image: BLOBs, or paths and URIs; NULL: no image.
        key: text that names the rows in errors; may be NULL.

    Returns:
        STRUCT, row i for row i: BLAKE2b's 128 bits of the bytes, and of size and pixels, RGB, as
        they are decoded, upright and not resized; two UBIGINT each, NULL: there is none.
    """
    order = spec_of(spec)
    if order is None:
        return pa.StructArray.from_arrays([pa.array([], pa.uint64())] * len(FIELDS), FIELDS)
    inputs = read_inputs(runtime, order, image, key)
    images = inputs.images
    most_bytes = order.decoding_bytes or MOST_DECODING_BYTES

    def digests(part: Sequence[int]) -> npt.NDArray[np.uint64]:
        return _digests(inputs, part, most_bytes)

    parts = [
        range(i, min(i + PART_IMAGES, len(images))) for i in range(0, len(images), PART_IMAGES)
    ]
    found = np.zeros((images.n_rows, len(FIELDS)), np.uint64)
    for part, rows in zip(parts, runtime.threads.decoders().map(digests, parts), strict=True):
        for number, values in zip(part, rows, strict=True):
            found[images.rows(number)] = values
    columns = [pa.array(values, mask=values == 0) for values in found.T]
    return pa.StructArray.from_arrays(columns, FIELDS)


def _digests(inputs: Inputs, part: Sequence[int], most_bytes: int) -> npt.NDArray[np.uint64]:
    """Return the digests (images, 4) of some images; 0: there is none."""
    found = np.zeros((len(part), len(FIELDS)), np.uint64)
    reader = Reader(inputs)
    with closing(reader.portions(part, fetched=False)) as portions:
        for portion in portions:
            for i, number in enumerate(portion):
                data, _ = reader.take(number)
                if data is not None:
                    found[i, :2] = _halves(data)
                    height, width = headers.header(memoryview(data).cast("B")).upright
                    pixels = np.empty((height, width, 3), np.uint8)
                    if pixels.size and decode_picture(data, "rgb", pixels, most_bytes) is None:
                        found[i, 2:] = _halves(pixels.data, str(pixels.shape).encode())
                reader.let_go(number)
    return found


def _halves(data: pa.Buffer | bytes | memoryview, before: bytes = b"") -> npt.NDArray[np.uint64]:
    hashed = blake2b(before, digest_size=16)
    hashed.update(data)
    return np.frombuffer(hashed.digest(), "<u8")


KERNELS = (Kernel("vista_digest", None, SQL_TYPE, digest),)
