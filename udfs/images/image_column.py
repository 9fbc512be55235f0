"""A column of images, or of whole rows of the image relation → the column of images."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vista_sql.errors import ArgumentError
from vista_sql.kernels import IMAGE_SUFFIXES, InferSpec

from ..passes.arrow import Column, one_array
from . import paths

LOOKED_AT = 16  # keys that stand for all

LABEL_LETTERS = 200
"""A longer text is no label of a class: an image as base64, say."""


def image_column(column: Column, spec: InferSpec, keys: pa.Array) -> pa.Array:
    """Return the images of a column of images or of whole rows of the image relation.

    Args:
        column: BLOBs, paths or URIs as they are; or a STRUCT, a row of the image relation each.
        spec: says which column is the key where nobody named the image, and which the image must be
            if only one may.
        keys: (rows,) text that names the rows.

    Returns:
        The images, row i for row i: the struct's only BLOB field, else its only VARCHAR field that
        is not the key, else the key. A NULL row (no image) is a NULL image.

    Raises:
        ArgumentError: no field, or more than one, may be the image, or another than it must be; or
            the only text holds labels, and the keys are paths.
    """
    rows = one_array(column)
    if not pa.types.is_struct(rows.type):
        if not (_is_blob(rows.type) or _is_text(rows.type) or pa.types.is_null(rows.type)):
            raise ArgumentError(
                f"the image column holds {rows.type}, not BLOBs or paths: image => …"
            )
        _refuse_labels(rows, keys, spec)
        return rows
    fields = list(rows.type)
    blobs = [field.name for field in fields if _is_blob(field.type)]
    texts = [field.name for field in fields if _is_text(field.type)]
    key = spec.image_key.lower()
    candidates = blobs or [name for name in texts if name.lower() != key] or texts
    if len(candidates) != 1:
        kind = "BLOB" if blobs else "VARCHAR"
        what = f"{len(candidates)} {kind} columns" if candidates else "no column of BLOBs or paths"
        shown = ", ".join(candidates or [field.name for field in fields])
        raise ArgumentError(
            f"the image relation has {what} ({shown}): say which holds the images, image => …"
        )
    images = one_array(pc.struct_field(rows, [rows.type.get_field_index(candidates[0])]))
    _refuse_labels(images, keys, spec)
    if spec.image_name and candidates[0].lower() != spec.image_name.lower():
        raise ArgumentError(
            f"the image column is {candidates[0]!r}, which could not be seen when the statement "
            f"was planned: give image => '{candidates[0]}'"
        )
    return images


def _refuse_labels(images: pa.Array, keys: pa.Array, spec: InferSpec) -> None:
    """Refuse a column of texts that was found to be the image's where only the key names files.

    Raises:
        ArgumentError: no text is a path, as far as can be seen, and the keys are.
    """
    if not spec.image_key or not _is_text(images.type):
        return
    texts = (text for text in images.unique().to_pylist() if text is not None)
    label = next(texts, None)
    if label is None or _may_be_image(label, spec.folder):
        return
    some_keys = [key for key in keys.slice(0, LOOKED_AT).to_pylist() if key is not None]
    if not some_keys or not all(_may_be_image(key, spec.folder) for key in some_keys):
        return
    if not any(_may_be_image(text, spec.folder) for text in texts):
        raise ArgumentError(
            f"the only column of text beside the key holds no paths, but {label!r}, and the key "
            f"does, {paths.shortened(some_keys[0], paths.SHOWN_LETTERS)!r}: give "
            f"image => '{spec.image_key}'"
        )


def _may_be_image(text: str, folder: str) -> bool:
    """Return whether a text is a path or URI by its form, or names a file; or is no short label."""
    if len(text) > LABEL_LETTERS or text.startswith("data:"):
        return True
    if text.lower().rpartition(".")[2] in IMAGE_SUFFIXES:
        return True
    path = paths.local_path(text, folder)
    return path is None or Path(path).is_file()


def _is_blob(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view()
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    )
