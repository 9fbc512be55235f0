"""vista_infer_<slots>: images to the pooled features of some layers, in one pass."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from vista_sql.kernels import LAYER_SLOTS, Kernel

from .passes.arrow import Column, feature_lists, spec_of, struct
from .passes.flow import infer_images
from .passes.runtime import Runtime


def infer(
    slots: int,
    runtime: Runtime,
    spec: Column,
    image: Column,
    key: Column,
    box: Column | None = None,
    base: Column | None = None,
) -> pa.StructArray:
    """Infer the layers of the spec for each image.

    Args:
        slots: how many layers the function's type has room for.
        runtime: shared by the process's kernels.
        spec: an InferSpec as text, the same in every row; `start` is None.
        image: BLOBs, or paths and URIs; NULL: no image.
        key: text that names the rows in errors; may be NULL.
        box: where the spec has a region, STRUCT(x, y, width, height) of DOUBLEs: what of its image
            a row is, in pixels.
        base: raw maps of the spec's `base`, BLOBs as vista_maps returns them: a row that has one
            starts there; NULL: it starts from its image.

    Returns:
        STRUCT(l1 FLOAT[], …, l<slots> FLOAT[], error VARCHAR), row i for row i. Layers are in the
        order of the spec and NULL beyond it. A row whose image is NULL has NULL features and a NULL
        error; one whose image cannot be read, or whose box shows nothing of it, has NULL features
        and the reason.

    Raises:
        UnreadableImageError: an image cannot be read and the spec's `on_error` is 'raise'.
        UnknownNameError: the network has no such layer.
        HostError: a BLOB of `base` is no map of that layer.
        StoreError: the spec's store cannot be used, and it says that it must.
    """
    order = spec_of(spec)
    if order is None:
        return struct([pa.nulls(0, pa.large_list(pa.float32()))], slots, pa.nulls(0, pa.string()))
    inferred = infer_images(runtime, order, image, key, box, "features", order.pool, base)
    lists = [feature_lists(matrix, inferred.present) for matrix in inferred.matrices]
    return struct(lists, slots, inferred.errors)


def _returns(slots: int) -> str:
    return f"STRUCT({', '.join(f'l{i} FLOAT[]' for i in range(1, slots + 1))}, error VARCHAR)"


KERNELS = tuple(
    Kernel(f"vista_infer_{slots}", None, _returns(slots), partial(infer, slots))
    for slots in LAYER_SLOTS
)
