"""A column of images, or of whole rows of the image relation → the column of images."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.errors import ArgumentError
from vista_sql.kernels import InferSpec

from ..passes.arrow import Column, one_array


def image_column(column: Column, spec: InferSpec) -> pa.Array:
    """Return the images of a column of images or of whole rows of the image relation.

    Args:
        column: BLOBs, paths or URIs as they are; or a STRUCT, a row of the image relation each.
        spec: says which field is the key, and which the image must be if only one may.

    Returns:
        The images, row i for row i: the struct's only BLOB field, else its only VARCHAR field that
        is not the key. A NULL row (no image) is a NULL image.

    Raises:
        ArgumentError: no field, or more than one, may be the image, or another than it must be.
    """
    rows = one_array(column)
    if not pa.types.is_struct(rows.type):
        if not (_is_blob(rows.type) or _is_text(rows.type) or pa.types.is_null(rows.type)):
            raise ArgumentError(
                f"the image column holds {rows.type}, not BLOBs or paths: image => …"
            )
        return rows
    fields = list(rows.type)
    blobs = [field.name for field in fields if _is_blob(field.type)]
    key = spec.image_key.lower()
    texts = [field.name for field in fields if _is_text(field.type) and field.name.lower() != key]
    candidates = blobs or texts
    if len(candidates) != 1:
        kind = "BLOB" if blobs else "VARCHAR"
        what = f"{len(candidates)} {kind} columns" if candidates else "no column of BLOBs or paths"
        shown = ", ".join(candidates or [field.name for field in fields])
        raise ArgumentError(
            f"the image relation has {what} ({shown}): say which holds the images, image => …"
        )
    if spec.image_name and candidates[0].lower() != spec.image_name.lower():
        raise ArgumentError(
            f"the image column is {candidates[0]!r}, which could not be seen when the statement "
            f"was planned: give image => '{candidates[0]}'"
        )
    return one_array(pc.struct_field(rows, [rows.type.get_field_index(candidates[0])]))


def _is_blob(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view()
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    )
