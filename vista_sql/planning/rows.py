"""Workload → the SELECT of its narrow rows: structured columns, key and image, before inference.

They depend on what the statement needs and on nothing else of a plan but its placement and sort:
facts are counted upon them before there is a plan.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.kernels import REASON
from vista_sql.planning.travel import NO_WAYS, Ways
from vista_sql.planning.workload import Relation, Workload
from vista_sql.settings import Join
from vista_sql.sql.dialect import DUCKDB, Dialect
from vista_sql.sql.semi_joins import ROW


class Identifiers(Struct, frozen=True):
    """The generated identifiers of one call, as they stand in its text."""

    base: str  # `__vista_…_`, unguessable; those of columns begin with it
    dialect: Dialect = DUCKDB  # of the texts that they stand in

    @property
    def image(self) -> str:
        """The column of the narrow rows that holds the image."""
        return f"{self.base}image"

    @property
    def key(self) -> str:
        """The column of the narrow rows that holds the key."""
        return f"{self.base}key"

    @property
    def error(self) -> str:
        """The column with the reason why an image could not be read."""
        return f"{self.base}error"

    @property
    def box(self) -> str:
        """The column of the narrow rows that holds the box, where rows are boxes."""
        return f"{self.base}box"

    @property
    def map(self) -> str:
        """The column of the narrow rows that holds the raw map at which an image starts."""
        return f"{self.base}map"

    @property
    def count(self) -> str:
        """The column that says how many rows show an image, where rows are distinct images."""
        return f"{self.base}count"

    @property
    def boxes(self) -> str:
        """The list of an image's rows, where rows are boxes."""
        return f"{self.base}boxes"

    @property
    def rows(self) -> str:
        """The relation of the narrow rows."""
        return f"{self.base}rows"

    @property
    def images(self) -> str:
        """The alias of the image relation, as a user knows it: the database's errors show it."""
        return self.dialect.identifier("images =>")

    @property
    def structured(self) -> str:
        """The alias of the structured relation."""
        return self.dialect.identifier("structured =>")

    @property
    def joined(self) -> str:
        """The alias of what the two are joined to."""
        return f"{self.base}joined"

    @property
    def hash_of_image(self) -> str:
        """The hash of the image, as an expression over the narrow rows."""
        return f"{self.dialect.hash_function}({self.image})"

    def result(self, number: int) -> str:
        """The column of what the n-th call of a kernel returns, from 0."""
        return f"{self.base}result{number}"


def reads_images(workload: Workload) -> bool:
    """Return whether a call needs its images at all."""
    return bool(workload.used_taps) or workload.error_used or workload.on_error == "skip"


def image_rows(
    workload: Workload, names: Identifiers, *, is_sorted: bool, ways: Ways = NO_WAYS
) -> str:
    """Return the SELECT of the image relation's rows, key and image: inference before the join."""
    key = names.dialect.identifier(workload.image_key)
    text = (
        f"SELECT {names.images}.{key} AS {names.key}{_image_value(workload, names)}\n"
        f"FROM {workload.images.text} AS {names.images}"
    )
    text = _sent(text, Ways({}, ways.key), names)
    return _by_image(text, names) if is_sorted else text


def _sent(text: str, ways: Ways, names: Identifiers, *, with_boxes: bool = False) -> str:
    """Return the SELECT of rows as they travel: columns that only text can bring are text.

    Args:
        text: the SELECT of the rows.
        ways: how its structured columns and the key travel.
        names: of the generated columns.
        with_boxes: whether there is a box in each row.
    """
    if "as text" not in (*ways.columns.values(), ways.key):
        return text
    shown = [
        f"CAST({name} AS VARCHAR) AS {name}" if way == "as text" else name
        for column, way in ways.columns.items()
        for name in (names.dialect.identifier(column),)
    ]
    key = f"CAST({names.key} AS VARCHAR) AS {names.key}"
    shown.append(key if ways.key == "as text" else names.key)
    shown += [names.image, names.box] if with_boxes else [names.image]
    return f"SELECT {', '.join(shown)}\nFROM (\n{indent(text)}\n) AS {names.joined}"


def joined_rows(
    workload: Workload,
    names: Identifiers,
    *,
    is_sorted: bool = False,
    ways: Ways = NO_WAYS,
    strategy: Join | None = None,
) -> str:
    """Return the SELECT of the joined rows that are needed: columns that are used, key and image.

    Conditions, top-n, ranks and samples of the statement that may run below inference are in it.

    Example: of SELECT id, f6 FROM TRANSFER(…) WHERE price < 10 ORDER BY price LIMIT 3
        >>> from vista_sql.sql.needs import Needs
        >>> from vista_sql.planning.workload import Relation, bind, load_cnn
        >>> from vista_sql.sql.calls import Call
        >>> call = Call("transfer", {"cnn": "lenet5", "layers": ["f6"]}, {})
        >>> images = Relation("photos", {"id": "INTEGER", "image": "BLOB"})
        >>> foods = Relation("foods", {"id": "INTEGER", "price": "DOUBLE"})
        >>> workload = bind(call, load_cnn(call), images, foods, seed=0, device="auto")
        >>> needs = Needs(frozenset({"id", "price", "f6"}), ('"price" < 10',), (), ('"price"',), 3)
        >>> print(joined_rows(replace(workload, needs=needs), Identifiers("__v_")))
        SELECT *
        FROM (
          SELECT "structured =>"."id", "structured =>"."price", "structured =>"."id" AS __v_key, \
"images =>"."image" AS __v_image
          FROM (SELECT * FROM foods WHERE ("price" < 10)) AS "structured =>"
          JOIN photos AS "images =>"
            ON "structured =>"."id" = "images =>"."id"
        ) AS __v_joined
        ORDER BY "price"
        LIMIT 3
    """
    needs = workload.needs
    if workload.structured is None:
        source = filtered(workload.images, workload, names.images)
        alias, key = names.images, names.dialect.identifier(workload.image_key)
    else:
        alias, key = names.structured, names.dialect.identifier(workload.structured_key)
        source = (
            f"{filtered(workload.structured, workload, alias)}\n"
            f"{join(workload)} {workload.images.text} AS {names.images}\n"
            f"  ON {alias}.{key} = {names.images}.{names.dialect.identifier(workload.image_key)}"
        )
    columns = used_columns(workload, names)
    shown = [f"{alias}.*"] if columns is None else [f"{alias}.{column}" for column in columns]
    if reads_images(workload):
        shown.append(f"{alias}.{key} AS {names.key}{_image_value(workload, names)}")
        if workload.region is not None:
            shown.append(f"{alias}.{workload.box_column} AS {names.box}")
    hint = join_hint(strategy, alias)
    text = f"SELECT {hint}{', '.join(shown) or f'1 AS {names.key}'}\nFROM {source}"
    if workload.region is not None and reads_images(workload) and names.dialect is DUCKDB:
        text = _boxes_by_image(workload, names)
    if needs.qualify:
        text = f"{_all_of(text, names.joined)}\nQUALIFY {needs.qualify}"
    if needs.sample:
        text = f"{_all_of(text, names.joined)} {needs.sample}"
    if needs.limit is not None and needs.order:
        text = f"{_all_of(text, names.joined)}\nORDER BY {', '.join(needs.order)}"
    if needs.limit is not None:
        text = f"{text}\nLIMIT {needs.limit}"
    text = _sent(text, ways, names, with_boxes=workload.region is not None)
    return _by_image(text, names) if is_sorted else text


def _boxes_by_image(workload: Workload, names: Identifiers) -> str:
    """Return the SELECT of the rows that are boxes: those of an image come one after the other.

    An image is joined once, with the list of its boxes: it is neither sorted nor copied for each.
    """
    assert workload.structured is not None  # noqa: S101 - boxes are in it
    alias, key = names.structured, names.dialect.identifier(workload.structured_key)
    columns = used_columns(workload, names)
    shown = [f"{alias}.*"] if columns is None else [f"{alias}.{column}" for column in columns]
    shown += [f"{alias}.{key} AS {names.key}", f"{alias}.{workload.box_column} AS {names.box}"]
    rows = f"SELECT {', '.join(shown)}\nFROM {filtered(workload.structured, workload, alias)}"
    lists = (
        f"SELECT {names.key}, list({alias}) AS {names.boxes}\n"
        f"FROM (\n{indent(rows)}\n) AS {alias}\nGROUP BY {names.key}"
    )
    image_key = names.dialect.identifier(workload.image_key)
    joined = (
        f"SELECT unnest({names.boxes}) AS {names.joined}{_image_value(workload, names)}\n"
        f"FROM (\n{indent(lists)}\n) AS {alias}\n"
        f"{join(workload)} {workload.images.text} AS {names.images}\n"
        f"  ON {alias}.{names.key} = {names.images}.{image_key}"
    )
    return f"SELECT {names.joined}.*, {names.image}\nFROM (\n{indent(joined)}\n)"


def join_hint(strategy: Join | None, alias: str) -> str:
    """Return the hint that a cluster joins in that way, after SELECT; "" of none.

    Example:
        >>> join_hint("broadcast", "`structured =>`"), join_hint(None, "t")
        ('/*+ BROADCAST(`structured =>`) */ ', '')
    """
    if strategy is None:
        return ""
    return f"/*+ {'BROADCAST' if strategy == 'broadcast' else 'SHUFFLE_HASH'}({alias}) */ "


def join(workload: Workload) -> str:
    """Return the words between the structured relation and the images."""
    return "LEFT JOIN" if workload.join_type == "left" else "JOIN"


def filtered(relation: Relation, workload: Workload, alias: str) -> str:
    """Return a relation with the statement's conditions on its rows, as text after FROM.

    `foods` under WHERE price < 10 → `(SELECT * FROM foods WHERE (price < 10)) AS alias`.
    """
    needs = workload.needs
    if not needs.conditions:
        return f"{relation.text} AS {alias}"
    conditions = " AND ".join(f"({condition})" for condition in needs.conditions)
    rows = f"{relation.text} AS {ROW}" if needs.semi_joins else relation.text
    return f"(SELECT * FROM {rows} WHERE {conditions}) AS {alias}"


def used_columns(workload: Workload, names: Identifiers) -> list[str] | None:
    """Return the narrow columns that the statement uses, quoted; None where unknown."""
    if workload.narrow_columns is None:
        return None
    used = workload.needs.columns
    return [
        names.dialect.identifier(name)
        for name in workload.narrow_columns
        if used is None or name.lower() in used
    ]


def _image_value(workload: Workload, names: Identifiers) -> str:
    """Return the image (or, where its column is not known, the whole row) as one more column."""
    if not reads_images(workload):
        return ""
    if workload.image_column is None:
        return f", {names.images} AS {names.image}"
    image = f"{names.images}.{names.dialect.identifier(workload.image_column)}"
    if workload.reason_column is not None:  # both, as a STRUCT
        reason = f"{names.images}.{names.dialect.identifier(workload.reason_column)}"
        if names.dialect is DUCKDB:
            image = f"struct_pack(image := {image}, {REASON} := {reason})"
        else:
            image = f"named_struct('image', {image}, '{REASON}', {reason})"
    return f", {image} AS {names.image}"


def _by_image(text: str, names: Identifiers) -> str:
    return f"{_all_of(text, names.joined)}\nORDER BY {names.hash_of_image}"


def _all_of(text: str, alias: str) -> str:
    return f"SELECT *\nFROM (\n{indent(text)}\n) AS {alias}"


# ── layout ──────────────────────────────────────────────────────────────────────────────────────


def indent(text: str) -> str:
    """Return a generated text two spaces to the right; a user's text stands in it as a mark."""
    return textwrap.indent(text, "  ")


class Marks:
    """Stand for the user's texts in a generated one while it is indented, which they must not be.

    Example:
        >>> marks = Marks()
        >>> mark = marks.of("(SELECT 'two' || chr(10) || 'lines')")
        >>> marks.resolved(indent(f"SELECT * FROM {mark}"))
        "  SELECT * FROM (SELECT 'two' || chr(10) || 'lines')"
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def of(self, text: str) -> str:
        """Return the mark of a text; no text of SQL holds its NUL characters."""
        self._texts.append(text)
        return f"\0{len(self._texts) - 1}\0"

    def resolved(self, text: str) -> str:
        """Return a text with what its marks stand for."""
        parts = text.split("\0")  # text, number, text, number, …, text
        parts[1::2] = [self._texts[int(number)] for number in parts[1::2]]
        return "".join(parts)


def marked(workload: Workload, mark: Callable[[str], str]) -> Workload:
    """Return a workload whose relations and clauses, the user's texts, are marks."""
    structured, needs, base = workload.structured, workload.needs, workload.base
    return replace(
        workload,
        base=base and replace(base, text=mark(base.text)),
        images=replace(workload.images, text=mark(workload.images.text)),
        structured=structured and replace(structured, text=mark(structured.text)),
        needs=replace(
            needs,
            predicates=tuple(map(mark, needs.predicates)),
            semi_joins=tuple(map(mark, needs.semi_joins)),
            order=tuple(map(mark, needs.order)),
            qualify=needs.qualify and mark(needs.qualify),
        ),
    )
