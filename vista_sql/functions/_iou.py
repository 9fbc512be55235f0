"""How much two boxes overlap, as an expression of SQL: VISTA_IOU, and what VISTA_NMS measures by.

Everingham et al., The Pascal Visual Object Classes Challenge (2010), section 4.2, equation 4.
"""

from __future__ import annotations

from msgspec import Struct


class ScalarFunction(Struct, frozen=True):
    """A SQL function of values, which is a TEMP macro: DuckDB alone computes it, in every host."""

    name: str  # lower case, as in SQL
    parameters: tuple[str, ...]
    expression: str  # over the parameters
    meaning: str

    @property
    def macro(self) -> str:
        """The statement that makes it."""
        parameters = ", ".join(self.parameters)
        return f"CREATE OR REPLACE TEMP MACRO {self.name}({parameters}) AS {self.expression}"


SIDES = ("x", "y", "width", "height")


def _iou(a: str, b: str) -> str:
    """Return the area that two boxes share over the area that they cover, as an expression.

    A number in [0, 1]: 0 where they share nothing or neither has an area; NULL where any of the
    eight numbers is NULL.

    Args:
        a: a STRUCT with `x, y, width, height`, or a table's alias.
        b: likewise.
    """

    def of(box: str, field: str) -> str:
        return f"CAST(struct_extract({box}, '{field}') AS DOUBLE)"

    def shared(start: str, length: str) -> str:
        """Return how far two sides run beside each other."""
        first, second = of(a, start), of(b, start)
        ends = f"{first} + {of(a, length)}, {second} + {of(b, length)}"
        return f"greatest(least({ends}) - greatest({first}, {second}), 0)"

    def area(box: str) -> str:
        return f"greatest({of(box, 'width')}, 0) * greatest({of(box, 'height')}, 0)"

    known = " + ".join(of(box, side) for box in (a, b) for side in SIDES)
    both = f"{shared('x', 'width')} * {shared('y', 'height')}"
    either = f"{area(a)} + {area(b)} - {both}"
    return (
        f"CASE WHEN ({known}) IS NULL THEN CAST(NULL AS DOUBLE) "
        f"ELSE coalesce({both} / nullif(greatest({either}, 0), 0), 0) END"
    )


IOU = ScalarFunction(
    "vista_iou",
    ("a", "b"),
    _iou("a", "b"),
    "the area that two boxes share over the area that they cover; of STRUCTs or table aliases with "
    "x, y, width, height",
)
