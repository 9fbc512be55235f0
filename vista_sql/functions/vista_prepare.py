"""VISTA_PREPARE: images decoded and resized once, for later statements."""

from __future__ import annotations

import json

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from vista_sql import weights
from vista_sql.functions import _own_transfer, transfer
from vista_sql.planning import onnx_files, workload
from vista_sql.planning.onnx_files import PIXELS
from vista_sql.roster import DESCRIPTOR, Preprocessing
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import KeyNames, OneOf, wrong
from vista_sql.sql.quoting import identifier, text_literal

FORMATS = ("raw", "png", "jpeg")

MOST_SIDE = 4096
"""Pixels. Of raw images so large, DuckDB cannot hold the 2,048 that it asks for at once."""

READING = ("images", "key", "image", "on_error")
"""Arguments that say which images there are and how they are read."""

OF_A_NETWORK = ("weights", *PIXELS)
"""Arguments that say how a network wants its images; without one they mean nothing."""


class Sides(Struct, frozen=True):
    """Height and width in pixels, or one number for both, read as a tuple of two ints."""

    words: str = f"a whole number of pixels in [1, {MOST_SIDE}], or a list of height and width"

    def read(self, name: str, value: object) -> tuple[int, int]:
        """Return height and width."""
        sides = value if isinstance(value, list | tuple) else [value, value]
        match sides:
            case [int(height), int(width)] if not any(isinstance(side, bool) for side in sides):
                if 1 <= height <= MOST_SIDE and 1 <= width <= MOST_SIDE:
                    return height, width
        raise wrong(name, self.words, value)


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that decodes the images when it runs."""
    size = call.get("size")
    if (size is None) == (call.get("cnn") is None):
        raise call.error(
            "size",
            "VISTA_PREPARE needs either cnn => …, whose size and preprocessing images come to, or "
            "size => …, height and width in pixels",
        )
    given = _own_transfer.passed_on(call)
    if size is not None:
        for name in OF_A_NETWORK:
            if name in given:
                raise call.error(name, f"{name} is of a network: give cnn => … in place of size")
    how = {"format": call.get("format"), **_pixels(call, size)}
    values = {name: given[name] for name in READING if name in given} | {
        "cnn": DESCRIPTOR,  # it stands for any, and has no weights
        "prefix": planner.fresh_name(""),  # no column of the images' collides with TRANSFER's
    }
    skips = call.get("on_error") == "skip"
    reading = planner.reading(Call("transfer", values, call.places))
    for name in ("image", "error"):
        if reading.key.lower() == name:
            raise call.error(
                "key",
                f"the key is called {reading.key!r}, as a column that VISTA_PREPARE adds: give it "
                f"another name in images => 'SELECT {reading.key} AS id, …'",
            )
    spec = replace(reading.spec, store="", threads=planner.setting("threads", call).value)
    rows, found = (identifier(planner.fresh_name(role)) for role in ("rows", "found"))
    image = rows if reading.image is None else f"{rows}.{identifier(reading.image)}"
    key = f"{rows}.{identifier(reading.key)}"
    kernel = (
        f"vista_prepared({text_literal(spec.to_text())}, {text_literal(json.dumps(how))}, {image}, "
        f"CAST({key} AS VARCHAR))"
    )
    where = f'\nWHERE {found}."error" IS NULL' if skips else ""
    return (
        f'SELECT {identifier(reading.key)}, {found}.image AS image, {found}."error" AS "error"\n'
        f"FROM (SELECT {key} AS {identifier(reading.key)}, {kernel} AS {found} "
        f"FROM {reading.relation} AS {rows}){where}"
    )


def _pixels(call: Call, size: tuple[int, int] | None) -> dict[str, object]:
    """Return what images are brought to: the order of channels, the shape, and the framing.

    Raises:
        UnknownNameError, ArgumentError, WeightsError: there is no such CNN, or it cannot be read.
    """
    if size is None:
        cnn = onnx_files.with_pixels(call, workload.load_cnn(call))
        published = weights.preprocessing(cnn, call.get("weights"))
        pixels, shape = published.asked(call.get("resize"), call.get("fit")), cnn.input_shape
    else:
        any_network = Preprocessing("rgb", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        pixels, shape = any_network.asked(call.get("resize"), call.get("fit")), (*size, 3)
    return {"order": pixels.order, "shape": shape, "framing": to_builtins(pixels.framing)}


TRANSFER = transfer.FUNCTION.argument

FUNCTION = TableFunction(
    name="vista_prepare",
    arguments=(
        replace(TRANSFER("cnn"), required=False),
        replace(TRANSFER("images"), default=None, required=True),
        Argument("key", "the key of the image relation", KeyNames("a column's name"), "id"),
        Argument(
            "format",
            "'raw': pixels, which TRANSFER never decodes again; or ordinary images",
            OneOf(FORMATS),
            "raw",
        ),
        Argument("size", "in place of cnn: height and width", Sides()),
        *map(TRANSFER, ("image", "resize", "fit", "weights", "on_error")),
        *map(TRANSFER, PIXELS),
    ),
    expand=expand,
    meaning="images decoded and resized once, for later statements: the key, image, error",
)
