"""From a column of images to one matrix per layer.

Images go one way, through objects that each do one step:

    Lookup    reads an image, and takes from the feature store what it has of it
    Decoder   makes pixels of an image of which something is missing
    Windows   runs both in threads, ahead of inference
    Inferrer  runs the network on what is missing, and keeps that in the store
    Results   a row per row, from the store, from other calls, from the network
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import closing

import numpy as np
import pyarrow as pa
from msgspec import Struct

from vista_sql.kernels import ROI_POOLS, InferSpec

from ..images.paths import allowed_schemes
from ..network.engine import Output
from .arrow import Column
from .decoder import Decoder
from .inferrer import Inferrer
from .inputs import Inputs, read_inputs
from .lookup import Lookup
from .outputs import Outputs
from .reasons import Reasons
from .regions import RegionResults, tell_boxes
from .results import Results
from .runtime import Runtime
from .store_view import StoreView, store_view
from .windows import Windows


class Inferred(Struct, frozen=True):
    """What a column of images came to; rows where `present` is False hold nothing."""

    matrices: Sequence[np.ndarray | None]  # float32 (rows, values) per layer; None: no row has any
    present: np.ndarray  # bool (rows,)
    errors: pa.Array  # string: why a row's image cannot be read
    digests: Sequence[bytes | None]  # by image: of its bytes, where there is a store


def infer_images(
    runtime: Runtime,
    spec: InferSpec,
    images: Column,
    keys: Column,
    boxes: Column | None,
    kind: str,
    pool: str,
    base: Column | None = None,
) -> Inferred:
    """Infer a column of images, or take from the store what it has; row i stays row i.

    Args:
        runtime: shared by the process's kernels.
        spec: the order.
        images: BLOBs, or paths and URIs; NULL: no image, which is no error.
        keys: text that names the rows in errors; may be NULL.
        boxes: where the spec has a region, STRUCT(x, y, width, height): what of its image each row
            is; else None.
        kind: of result ('features', 'maps'); results of different kinds are never exchanged.
        pool: of the results, one of vista_sql.kernels.POOLS.
        base: raw maps of the spec's base, BLOBs; NULL: the row starts from its image.

    Raises:
        UnreadableImageError: an image cannot be read and the spec asks to fail then.
        StoreError: the store cannot be used and the spec says that it must.
    """
    if spec.region in ROI_POOLS:  # each map is pooled by its boxes, not as a whole
        kind, pool = "maps with sides", "none"
    by_slot: list[Output] = [(layer, pool) for layer in spec.layers]
    beside: list[Output] = [(layer, "none") for layer in spec.materialize]
    with runtime.calls:
        inputs = read_inputs(runtime, spec, images, keys, boxes, base)
        opened = inputs.opened
        made_by = (opened.identity, opened.cnn.preprocessing, spec.dtype, spec.device, spec.engine)
        # what another call gives was stored by it, from files that it may read: only calls with
        # one store and the same schemes exchange results
        allowed = allowed_schemes(spec.schemes)
        scope = (kind, spec.layers, pool, made_by, spec.store, allowed)
        view = store_view(inputs, by_slot)
        return infer(inputs, Outputs(inputs, by_slot, beside), view, scope)


def infer(inputs: Inputs, outputs: Outputs, view: StoreView | None, scope: Hashable) -> Inferred:
    """Infer every distinct image of a call that neither the store nor a recent call has.

    Args:
        inputs: of the call.
        outputs: what is asked for; the first of them, as many as the spec has layers, are returned.
        view: of the store; None: there is none.
        scope: what results must agree in to be exchanged between calls.

    Raises:
        UnreadableImageError: an image cannot be read and the spec asks to fail then.
        StoreError: the store cannot be used and the spec says that it must.
    """
    runtime, spec, images = inputs.runtime, inputs.spec, inputs.images
    reasons = Reasons(inputs)
    results = Results(images, len(spec.layers))
    if inputs.boxes is not None and spec.region is not None:
        results = RegionResults(inputs, spec.region)
    lookup, decoder = Lookup(inputs, outputs, view, results), Decoder(inputs)
    digests: list[bytes | None] = [None] * len(images)
    keys = [(scope, identity) for identity in inputs.identities]
    with runtime.sharing.exchange(keys, images.last) as exchange:
        windows = Windows(
            inputs,
            has_store=view is not None,
            lookup=lookup,
            decoder=decoder,
            exchange=exchange,
            results=results,
        )
        inferrer = Inferrer(
            inputs,
            outputs,
            view=view,
            decoder=decoder,
            exchange=exchange,
            results=results,
            reasons=reasons,
        )
        with closing(inferrer):
            for window in windows:
                for image, sought in zip(window.images, window.sought, strict=True):
                    digests[image] = sought.digest
                    reasons.remember(image, sought.reason)
                    if sought.reason is not None:
                        reasons.tell(image, sought.reason)
                inferrer.add(window)
                inferrer.infer(all_waiting=False)
            inferrer.infer(all_waiting=True)
    tell_boxes(inputs, reasons)
    runtime.tally(spec.run, spec.call, images.n_rows, images.n_not_null)
    return Inferred(results.matrices, reasons.present, reasons.column(), digests)
