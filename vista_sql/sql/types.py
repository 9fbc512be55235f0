"""DuckDB's types as it writes them: what they are made of, and how they go through Arrow.

Arrow has not all of DuckDB's types. Of those that it has none for, a column goes as text, from
which the value comes back; others come back as another type, which a cast restores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_OTHERS = ("UUID", "HUGEINT", "JSON")
"""Types that Arrow has as another: text, DECIMAL(38,0)."""

_NONE = ("UHUGEINT", "TIME WITH TIME ZONE", "BIT")
"""Types that Arrow has not: it would lose large values, the offset, and the number of bits."""


def rebuilt(kind: str, of: Callable[[str], str]) -> str:
    """Return a type with `of` applied to the types that it is made of, which are not nested.

    Example:
        >>> rebuilt("STRUCT(a UUID, b MAP(VARCHAR, UUID[])[2])", str.lower)
        'STRUCT(a uuid, b MAP(varchar, uuid[])[2])'
        >>> rebuilt("TUPLE(DATE, UNION(a DATE))[]", lambda kind: "TIME")
        'TUPLE(TIME, UNION(a TIME))[]'
    """
    element = re.fullmatch(r"(.*)(\[\d*\])", kind, re.DOTALL)
    if element is not None:
        return f"{rebuilt(element[1], of)}{element[2]}"
    nested = re.fullmatch(r"(STRUCT|UNION|MAP|TUPLE)\((.*)\)", kind, re.DOTALL)
    if nested is None:
        return of(kind)
    made = []
    for part in parts(nested[2]):
        named = nested[1] in ("STRUCT", "UNION")  # a name, quoted or not, before each type
        name = re.match(r'("(?:[^"]|"")*"|\w+) ', part) if named else None
        start = name.end() if name is not None else 0
        made.append(f"{part[:start]}{rebuilt(part[start:], of)}")
    return f"{nested[1]}({', '.join(made)})"


def made_of(kind: str) -> set[str]:
    """Return the types that a type is made of, itself where it is not nested.

    Example:
        >>> sorted(made_of("STRUCT(a UUID, b MAP(VARCHAR, UUID[]))"))
        ['UUID', 'VARCHAR']
    """
    found: set[str] = set()

    def note(kind: str) -> str:
        found.add(kind)
        return kind

    rebuilt(kind, note)
    return found


def parts(text: str) -> Iterator[str]:
    """Yield what stands between the commas of a text that are in no parentheses and no quotes.

    Example:
        >>> list(parts("a ENUM('x, (y'), b DECIMAL(9,2)"))
        ["a ENUM('x, (y')", 'b DECIMAL(9,2)']
    """
    depth, start, quote = 0, 0, ""
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            yield text[start:place].strip()
            start = place + 1
    yield text[start:].strip()


def in_arrow(kind: str) -> str:
    """Return the type as which a column goes into Arrow: text where Arrow has none.

    Example:
        >>> in_arrow("STRUCT(a BIT, b INTEGER)"), in_arrow("UUID")
        ('STRUCT(a VARCHAR, b INTEGER)', 'UUID')
        >>> in_arrow("ENUM('x')"), in_arrow("ENUM('x')[2]")  # DuckDB reads the latter wrong
        ("ENUM('x')", 'VARCHAR[2]')
    """

    def of(leaf: str) -> str:
        is_nested_enum = leaf != kind and leaf.startswith("ENUM(")
        return "VARCHAR" if leaf in _NONE or is_nested_enum else leaf

    return rebuilt(kind, of)


def differs_in_arrow(kind: str) -> bool:
    """Return whether a column comes back from Arrow with another type, which a cast restores.

    Example:
        >>> [differs_in_arrow(kind) for kind in ("UUID[]", "TUPLE(DATE, DATE)", "FLOAT[84]")]
        [True, True, False]
    """
    has_tuple = "TUPLE(" in rebuilt(kind, lambda leaf: "")
    return has_tuple or not made_of(kind).isdisjoint(_OTHERS + _NONE)
