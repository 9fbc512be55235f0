"""A column of images, or of whole rows of the image relation → the images: bytes, or text."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import ArgumentError
from vista_sql.kernels import BYTES_OF_A_LIST, IMAGE_SUFFIXES, REASON, InferSpec

from ..passes.arrow import Column, one_array
from . import inline, paths

LOOKED_AT = 16  # keys that stand for all


class Images(Struct, frozen=True):
    """The images of a column, row i for row i; NULL in all: no image."""

    blobs: pa.Array  # large_binary: images' bytes
    texts: pa.Array
    """large_string: paths, URIs, and text of images that is malformed; where there is no blob."""
    reasons: pa.Array | None = None
    """large_string: why there is no image, where that is known already; None: nowhere."""


def image_column(column: Column, spec: InferSpec, keys: pa.Array) -> Images:
    """Return the images of a column of images or of whole rows of the image relation.

    Args:
        column: BLOBs; text, as such or of an ENUM: paths, URIs, base64 or `data:` URLs, or one of
            these as a JSON string; STRUCTs of `bytes` (which win) and `path`; or NULLs of no type.
            Where the spec has an `image_key`, a STRUCT is a row of the image relation. A STRUCT of
            `image`, any of these, and `error`: the latter says why the former is NULL.
        spec: says which column is the key where nobody named the image, and which the image must be
            if only one may.
        keys: (rows,) text that names the rows.

    Returns:
        The images. Of rows: the only field of BLOBs or of STRUCTs of bytes and path, else the only
        VARCHAR field that is not the key, else the key. A NULL row (no image) is a NULL image, and
        so is JSON's null.

    Raises:
        ArgumentError: no field, or more than one, may be the image, or another than it must be; or
            the only text holds labels, and the keys are paths.
    """
    kind = column.type
    reason = _reason_field(kind, spec)
    if reason is not None:
        name = "image" if not spec.image_key else _image_field(kind, spec)
        rows = one_array(column)
        image = pc.struct_field(rows, [kind.get_field_index(name)])
        reasons = _plain(pc.struct_field(rows, [kind.get_field_index(reason)]))
        reasons = pc.if_else(image.is_null(), reasons, pa.scalar(None, reasons.type))
        return replace(_images(image, spec, keys), reasons=reasons)
    if spec.image_key and pa.types.is_struct(kind):
        rows = one_array(column)
        column = pc.struct_field(rows, [kind.get_field_index(_image_field(kind, spec))])
    return _images(column, spec, keys)


def _images(column: Column, spec: InferSpec, keys: pa.Array) -> Images:
    """Return the images of a column of images."""
    kind = column.type
    if _is_pair(kind):
        pairs = one_array(column)
        fields = {field.name.lower(): i for i, field in enumerate(kind)}
        blobs, texts = (
            _plain(pc.struct_field(pairs, [fields[name]])) for name in ("bytes", "path")
        )
        if not _is_blob(blobs.type):
            blobs = pa.nulls(len(pairs), pa.large_binary())
        if not _is_text(texts.type):
            texts = pa.nulls(len(pairs), pa.large_string())
        texts = pc.if_else(blobs.is_valid(), pa.scalar(None, texts.type), texts)
        return _with_inline(blobs, texts)
    found = _plain(column)
    if pa.types.is_null(found.type):
        found = found.cast(pa.large_binary())
    if _is_blob(found.type):
        return Images(found, pa.nulls(len(found), pa.large_string()))
    if _is_text(found.type):
        images = _with_inline(pa.nulls(len(found), pa.large_binary()), found)
        _refuse_labels(images.texts, keys, spec)
        return images
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        raise ArgumentError(
            f"the image column holds {kind}, not BLOBs or paths: bytes of files become BLOBs by "
            f"{BYTES_OF_A_LIST}"
        )
    raise ArgumentError(f"the image column holds {kind}, not BLOBs or paths: image => …")


def _with_inline(blobs: pa.Array, texts: pa.Array) -> Images:
    """Return images where those that stand in the texts themselves are blobs, too."""
    to_look_at = pc.match_substring_regex(texts, inline.CANDIDATES)
    if not to_look_at.true_count:
        return Images(blobs, texts)
    to_look_at = to_look_at.fill_null(False)
    found_blobs: list[bytes | None] = []
    found_texts: list[str | None] = []
    for text in texts.filter(to_look_at).to_pylist():
        value = inline.unquoted(text)
        try:
            data = None if value is None else inline.image(value)
        except paths.Unreadable:
            data = None  # it is told where the image is read
        found_blobs.append(data)
        found_texts.append(value if data is None else None)
    return Images(
        pc.replace_with_mask(blobs, to_look_at, pa.array(found_blobs, pa.large_binary())),
        pc.replace_with_mask(texts, to_look_at, pa.array(found_texts, pa.large_string())),
    )


def _image_field(rows: pa.StructType, spec: InferSpec) -> str:
    """Return the name of the field of rows that is the image.

    Raises:
        ArgumentError: no field, or more than one, may be it, or another than it must be.
    """
    fields = list(rows)
    key = spec.image_key.lower()
    blobs = [field.name for field in fields if _is_blob(field.type) or _is_pair(field.type)]
    texts = [field.name for field in fields if _is_text(field.type)]
    candidates = blobs or [name for name in texts if name.lower() != key] or texts
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
    return str(candidates[0])


def _reason_field(kind: pa.DataType, spec: InferSpec) -> str | None:
    """Return the name of the field that says why an image is NULL; None: there is none."""
    if not pa.types.is_struct(kind):
        return None
    fields = {field.name.lower(): field for field in kind}
    found = fields.get(REASON)
    if found is None or not _is_text(found.type) or spec.image_key.lower() == REASON:
        return None
    is_both = fields.keys() == {"image", REASON}
    if not spec.image_key and not is_both:
        return None
    if spec.image_key and _image_field(kind, spec).lower() == REASON:
        return None
    return str(found.name)


def _refuse_labels(texts: pa.Array, keys: pa.Array, spec: InferSpec) -> None:
    """Refuse a column of texts that was found to be the image's where only the key names files.

    Raises:
        ArgumentError: no text is a path, as far as can be seen, and the keys are.
    """
    if not spec.image_key:
        return
    others = (text for text in texts.unique().to_pylist() if text is not None)
    label = next(others, None)
    if label is None or _may_be_image(label, spec.folder):
        return
    some_keys = [key for key in keys.slice(0, LOOKED_AT).to_pylist() if key is not None]
    if not some_keys or not all(_may_be_image(key, spec.folder) for key in some_keys):
        return
    if not any(_may_be_image(text, spec.folder) for text in others):
        raise ArgumentError(
            f"the only column of text beside the key holds no paths, but {label!r}, and the key "
            f"does, {paths.shortened(some_keys[0], paths.SHOWN_LETTERS)!r}: give "
            f"image => '{spec.image_key}'"
        )


def _may_be_image(text: str, folder: str) -> bool:
    """Return whether a text is a path or URI by its form, names a file, or is too long a label."""
    if len(text) > paths.REASON_LETTERS or text.startswith("data:"):
        return True
    if text.lower().rpartition(".")[2] in IMAGE_SUFFIXES:
        return True
    path = paths.local_path(text, folder)
    return path is None or Path(path).is_file()


def _plain(column: Column) -> pa.Array:
    """Return a column as one array, of the values of an ENUM."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return one_array(column)


def _is_pair(kind: pa.DataType) -> bool:
    """Return whether a type is Hugging Face's of an image: STRUCT(bytes BLOB, path VARCHAR)."""
    if not pa.types.is_struct(kind) or kind.num_fields != 2:
        return False
    fields = {field.name.lower(): field.type for field in kind}
    data, path = fields.get("bytes"), fields.get("path")
    if data is None or path is None:
        return False
    return (_is_blob(data) or pa.types.is_null(data)) and (_is_text(path) or pa.types.is_null(path))


def _is_blob(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view()
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view()
    )
