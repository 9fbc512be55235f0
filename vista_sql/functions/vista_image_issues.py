"""VISTA_IMAGE_ISSUES: what is odd about images, a row each, without inferring them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from vista_sql.functions import _own_transfer, transfer
from vista_sql.roster import DESCRIPTOR
from vista_sql.sql.calls import Argument, Call, Planner, TableFunction
from vista_sql.sql.kinds import KeyNames, Number
from vista_sql.sql.quoting import identifier, text_literal

SHOWN = (
    *("format", "width", "height", "mode", "bytes"),
    *("brightness", "contrast", "sharpness", "entropy"),
)
FLAGS: Mapping[str, str] = {
    "is_dark": "dark < {dark}",
    "is_light": "light > {light}",
    "is_blurry": "sharpness < {blurry}",
    "is_low_information": "entropy < {low_information}",
    "is_gray": "gray",
    "odd_size": "{size} < {q1} - {odd_size} * ({q3} - {q1}) OR {size} > {q3} + {odd_size} * "
    "({q3} - {q1})",
    "odd_aspect": "CAST(least(width, height) AS DOUBLE) / greatest(width, height) < {odd_aspect}",
}
"""Conditions on what was measured; the quartiles are of all rows."""

COLUMNS = (*SHOWN, *FLAGS, "error")


def expand(call: Call, planner: Planner) -> str:
    """Return a SELECT that measures the images when it runs."""
    values = _own_transfer.passed_on(call) | {
        "cnn": DESCRIPTOR,  # it stands for none, and has no weights
        "prefix": planner.fresh_name(""),  # no column of the images' collides with TRANSFER's
    }
    reading = planner.reading(Call("transfer", values, call.places))
    if reading.key.lower() in COLUMNS:
        raise call.error(
            "key",
            f"the key is called {reading.key!r}, as a column that VISTA_IMAGE_ISSUES adds: give it "
            f"another name in images => 'SELECT {reading.key} AS id, …'",
        )
    spec = replace(reading.spec, store="", threads=planner.setting("threads", call).value)
    roles = ("rows", "found", "name", "size", "q1", "q3")
    rows, found, name, size, q1, q3 = (identifier(planner.fresh_name(role)) for role in roles)
    image = rows if reading.image is None else f"{rows}.{identifier(reading.image)}"
    key = f"{rows}.{identifier(reading.key)}"
    kernel = f"vista_quality({text_literal(spec.to_text())}, {image}, CAST({key} AS VARCHAR))"
    given = {name: repr(call.get(name)) for name in THRESHOLDS}
    names = {"size": size, "q1": q1, "q3": q3}
    flags = [f"{text.format(**given, **names)} AS {flag}" for flag, text in FLAGS.items()]
    named = f"{name} AS {identifier(reading.key)}"
    shown = ", ".join([named, *map(identifier, SHOWN), *flags, '"error"'])
    quartiles = ", ".join(
        f"quantile_cont({size}, {share}) OVER () AS {quartile}"
        for share, quartile in ((0.25, q1), (0.75, q3))
    )
    return (
        f"SELECT {shown}\n"
        f"FROM (SELECT *, {quartiles}\n"
        f"  FROM (SELECT {name}, {found}.*, "
        f"sqrt(CAST({found}.width AS DOUBLE) * {found}.height) AS {size}\n"
        f"    FROM (SELECT {key} AS {name}, {kernel} AS {found} "
        f"FROM {reading.relation} AS {rows})))"
    )


TRANSFER = transfer.FUNCTION.argument

THRESHOLDS = {
    argument.name: argument
    for argument in (
        Argument("dark", "is_dark: 99 % of the pixels are darker, of 1", Number(0, 1), 0.32),
        Argument("light", "is_light: 95 % of the pixels are lighter, of 1", Number(0, 1), 0.95),
        Argument("blurry", "is_blurry: sharpness is less", Number(0), 10),
        Argument("low_information", "is_low_information: entropy is less, bits", Number(0), 3),
        Argument(
            "odd_size",
            "odd_size: so many interquartile ranges beyond the quartiles of all rows' sizes",
            Number(0),
            3,
        ),
        Argument(
            "odd_aspect", "odd_aspect: the shorter side is less of the longer", Number(0, 1), 0.35
        ),
    )
}

FUNCTION = TableFunction(
    name="vista_image_issues",
    arguments=(
        replace(TRANSFER("images"), default=None, required=True),
        Argument("key", "the key of the image relation", KeyNames("a column's name"), "id"),
        TRANSFER("image"),
        *THRESHOLDS.values(),
    ),
    expand=expand,
    meaning="format, size, light, contrast, sharpness of each image, and flags of what is odd",
)
