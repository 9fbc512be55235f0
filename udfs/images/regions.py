"""A column of boxes → where each lies, or the reason why it is none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from vista_sql.errors import ArgumentError

from ..passes.arrow import Column, one_array
from . import prepared
from .framing import Box, Sides

FIELDS = ("x", "y", "width", "height")


class Boxes(Struct, frozen=True):
    """The boxes of a column, row i for row i."""

    values: np.ndarray
    """float64 (rows, 4): x, y, width, height, in pixels of the upright image; NaN for NULL."""

    def of(self, row: int) -> Box:
        """Return one box."""
        x, y, width, height = self.values[row].tolist()
        return x, y, width, height

    def fault(self, row: int) -> str | None:
        """Return why a row has no box; None: it has one."""
        return fault(self.of(row))


def fault(box: Box) -> str | None:
    """Return why four numbers are no box; None: they are one.

    Example:
        >>> fault((0, 0, float("nan"), 1)), fault((0, 0, 10, -1)), fault((0, 0, 10, 1))
        ('the box has no width', 'the box has no area: it is 10 × -1 pixels', None)
        >>> fault((0, float("-inf"), 10, 1))
        'the y of the box is infinite'
    """
    for name, value in zip(FIELDS, box, strict=True):
        if np.isnan(value):
            return f"the box has no {name}"
        if np.isinf(value):
            return f"the {name} of the box is infinite"
    _, _, width, height = box
    if width <= 0 or height <= 0:
        return f"the box has no area: it is {width:g} × {height:g} pixels"
    return None


def outside(box: Box, image: Sides) -> str:
    """Return the reason of a box that lies outside of its image.

    Args:
        box: the box.
        image: height and width of the upright image.

    Example:
        >>> outside((30, 0, 5, 5), (20, 20))
        'the box at (30, 0) of 5 × 5 pixels lies outside of the image of 20 × 20 pixels'
    """
    x, y, width, height = box
    return (
        f"the box at ({x:g}, {y:g}) of {width:g} × {height:g} pixels lies outside of the image of "
        f"{image[1]} × {image[0]} pixels"
    )


def left_out(box: Box, fit: str) -> str:
    """Return the reason of a box of which a framing leaves nothing.

    Example:
        >>> left_out((0, 0, 5, 5), "crop")
        "the box at (0, 0) of 5 × 5 pixels lies outside of what fit => 'crop' leaves of the image"
    """
    x, y, width, height = box
    return (
        f"the box at ({x:g}, {y:g}) of {width:g} × {height:g} pixels lies outside of what "
        f"fit => '{fit}' leaves of the image"
    )


def refuse_prepared(data: pa.Buffer | bytes) -> None:
    """Refuse an image of which no box is known any more.

    Raises:
        ArgumentError: it is a prepared image.
    """
    if prepared.is_one(data):
        raise ArgumentError(
            "boxes are in pixels of the original, and an image that VISTA_PREPARE made raw has "
            "another size: take images => … of the originals, or of format => 'png' where the "
            "boxes are of these"
        )


def box_column(column: Column) -> Boxes:
    """Return the boxes of a column of STRUCT(x, y, width, height).

    Args:
        column: of DOUBLEs; NULL, or a NULL in it: no box.
    """
    structs = one_array(column)
    values = [
        pc.struct_field(structs, [structs.type.get_field_index(name)])
        .cast(pa.float64())
        .fill_null(float("nan"))
        .to_numpy(zero_copy_only=False)
        for name in FIELDS
    ]
    return Boxes(np.column_stack(values))
