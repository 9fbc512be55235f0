"""vista_keep: keep the raw maps of layers in the feature store, and say how much that is."""

from __future__ import annotations

import time

import pyarrow as pa

from vista_sql.errors import StoreError
from vista_sql.kernels import Kernel

from .images.columns import image_column
from .images.distinct import Images
from .passes.arrow import Column, one_array, spec_of
from .passes.flow import Pass
from .passes.runtime import Runtime

ARROW_TYPE = pa.struct(
    [
        ("digest", pa.binary()),
        ("bytes", pa.int64()),
        ("error", pa.string()),
        ("began", pa.float64()),
        ("ended", pa.float64()),
    ]
)


def keep(runtime: Runtime, spec: Column, image: Column, key: Column) -> pa.StructArray:
    """Keep the raw maps of the spec's layers to `materialize`; infer what is not there yet.

    Args:
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row, with a store and no `layers`.
        image: BLOBs, or paths and URIs; NULL: no image.
        key: text that names the rows in errors; may be NULL.

    Returns:
        STRUCT, row i for row i: the image's `digest` (NULL: no image, or one that cannot be read),
        the `bytes` that its maps take in the store, why it cannot be read (`error`), and when the
        call `began` and `ended`, seconds on one clock.

    Raises:
        StoreError: the spec names no store, or it cannot be used, or has no room for the maps.
        UnknownNameError: the network has no such layer.
    """
    order = spec_of(spec)
    began = time.monotonic()
    if order is None:
        return pa.array([], ARROW_TYPE)
    images = Images(image_column(image, order), order.folder)
    one_pass = Pass(runtime, order, images, one_array(key), "none", insist=True)
    if one_pass.stored is None:
        raise StoreError("vista_keep was called without a feature store that can be used")
    errors = one_pass.run(("materialize", order.to_text())).errors
    digests = [one for one in one_pass.digests if one is not None]
    sizes = dict.fromkeys(digests, 0)
    for layer in order.materialize:
        found = one_pass.stored.stored_bytes((layer, "none"), digests)
        for digest, size in zip(digests, found, strict=True):
            sizes[digest] += size or 0
    rows: list[dict[str, object]] = [{} for _ in range(len(errors))]
    for one, known in enumerate(one_pass.digests):
        for row in images.rows(one):
            if known is not None and not errors[int(row)].is_valid:
                rows[row] = {"digest": known, "bytes": sizes[known]}
    times = {"began": began, "ended": time.monotonic()}
    told = errors.to_pylist()
    return pa.array(
        [{**row, **times, "error": error} for row, error in zip(rows, told, strict=True)],
        ARROW_TYPE,
    )


KERNELS = (
    Kernel(
        "vista_keep",
        None,
        'STRUCT(digest BLOB, bytes BIGINT, "error" VARCHAR, began DOUBLE, ended DOUBLE)',
        keep,
    ),
)
