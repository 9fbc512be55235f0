"""vista_maps_<slots>: images to the raw maps of some layers, as BLOBs for a later stage."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from vista_sql.kernels import LAYER_SLOTS, Kernel

from .passes.arrow import Column, map_blobs, spec_of, struct
from .passes.flow import infer_images
from .passes.runtime import Runtime


def maps(
    slots: int,
    runtime: Runtime,
    spec: Column,
    image: Column,
    key: Column,
    box: Column | None = None,
    base: Column | None = None,
) -> pa.StructArray:
    """Infer the raw maps of the spec's layers for each image.

    Args:
        slots: how many layers the function's type has room for.
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; `start` is None, `pool` is not used.
        image: BLOBs, or paths and URIs; NULL: no image.
        key: text that names the rows in errors; may be NULL.
        box: where the spec has a region, STRUCT(x, y, width, height) of DOUBLEs: what of its image
            a row is, in pixels.
        base: raw maps of the spec's `base`, BLOBs as vista_maps returns them: a row that has one
            starts there; NULL: it starts from its image.

    Returns:
        STRUCT(l1 BLOB, …, l<slots> BLOB, error VARCHAR), row i for row i. A BLOB is little-endian
        float32 in the order (height, width, channel), whatever the arithmetic's dtype. NULLs and
        errors are as in vista_infer.

    Raises:
        UnreadableImageError: an image cannot be read and the spec's `on_error` is 'raise'.
        UnknownNameError: the network has no such layer.
        HostError: a BLOB of `base` is no map of that layer.
        StoreError: the spec's store cannot be used, and it says that it must.
    """
    order = spec_of(spec)
    if order is None:
        return struct([pa.nulls(0, pa.large_binary())], slots, pa.nulls(0, pa.string()))
    inferred = infer_images(runtime, order, image, key, box, "maps", "none", base)
    blobs = [map_blobs(matrix, inferred.present) for matrix in inferred.matrices]
    return struct(blobs, slots, inferred.errors)


def _returns(slots: int) -> str:
    return f"STRUCT({', '.join(f'l{i} BLOB' for i in range(1, slots + 1))}, error VARCHAR)"


KERNELS = tuple(
    Kernel(f"vista_maps_{slots}", None, _returns(slots), partial(maps, slots))
    for slots in LAYER_SLOTS
)
