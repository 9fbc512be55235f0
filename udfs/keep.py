"""vista_keep: images → the raw maps of layers, in the feature store, and how much that is."""

from __future__ import annotations

import time

import pyarrow as pa

from vista_sql.errors import StoreError
from vista_sql.kernels import Kernel

from .network.engine import Output
from .passes.arrow import Column, spec_of
from .passes.flow import infer
from .passes.inputs import read_inputs
from .passes.outputs import Outputs
from .passes.runtime import Runtime
from .passes.store_view import store_view

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
    inputs = read_inputs(runtime, order, image, key)
    maps: list[Output] = [(layer, "none") for layer in order.materialize]
    view = store_view(inputs, maps)
    if view is None:
        raise StoreError("vista_keep was called without a feature store that can be used")
    inferred = infer(inputs, Outputs(inputs, maps), view, ("materialize", order.to_text()))
    digests = [digest for digest in inferred.digests if digest is not None]
    sizes = dict.fromkeys(digests, 0)
    for output in maps:
        for digest, size in zip(digests, view.stored_bytes(output, digests), strict=True):
            sizes[digest] += size or 0
    rows: list[dict[str, object]] = [{} for _ in range(inputs.images.n_rows)]
    for number, image_digest in enumerate(inferred.digests):
        for row in inputs.images.rows(number):
            if image_digest is not None and not inferred.errors[int(row)].is_valid:
                rows[row] = {"digest": image_digest, "bytes": sizes[image_digest]}
    times = {"began": began, "ended": time.monotonic()}
    reasons = inferred.errors.to_pylist()
    return pa.array(
        [{**row, **times, "error": reason} for row, reason in zip(rows, reasons, strict=True)],
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
