"""The keys of a TRANSFER's two relations: whether they compare, and whether a folder's files join.

A database that can be asked is asked while the call is bound; else the image relation itself holds
the question whether any row joins.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from vista_sql.errors import ArgumentError, QueryError
from vista_sql.planning.database import Database
from vista_sql.planning.rows import Identifiers
from vista_sql.planning.workload import Relation, Workload
from vista_sql.sql import folders
from vista_sql.sql.calls import Call
from vista_sql.sql.dialect import Dialect
from vista_sql.sql.quoting import text_literal

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")


def checked(call: Call, workload: Workload, database: Database, dialect: Dialect) -> Workload:
    """Return a workload whose keys meet, as far as can be told.

    Args:
        call: the call.
        workload: as its arguments say.
        database: is asked where it tells the columns of both relations.
        dialect: of the texts.

    Raises:
        ArgumentError: the keys' types do not compare, or no row joins a file of a folder.
    """
    structured, images = workload.structured, workload.images
    if structured is None or structured.is_computed or images.is_computed:
        return workload  # to ask would cost what inference does
    keys = _Keys(call, workload, structured, dialect)
    is_folder = folders.is_folder(call.get("images"))
    if structured.columns is None or images.columns is None:
        return replace(workload, images=keys.joining_images()) if is_folder else workload
    types = structured.columns[workload.structured_key], images.columns[workload.image_key]
    if is_folder or not alike(*types):
        try:
            rows, joined = database.counts(f"SELECT count(*), {keys.n_joined} FROM {keys.rows}")
        except QueryError as error:
            raise keys.incomparable(types, error) from None
        if is_folder and rows and not joined:
            (example,) = database.texts(f"SELECT {keys.example} FROM {keys.rows}")
            raise call.error("key", keys.none_joins(str(example)))
    return workload


def alike(one: str, other: str) -> bool:
    """Return whether values of two types compare, whatever they are.

    Example:
        >>> alike("VARCHAR", "VARCHAR"), alike("UBIGINT", "DECIMAL(9,2)")
        (True, True)
        >>> alike("INTEGER", "VARCHAR"), alike("INTEGER", "INTEGER[]")
        (False, False)
    """
    return one == other or (_is_number(one) and _is_number(other))


def _is_number(kind: str) -> bool:
    return kind.lstrip("U").startswith(_NUMBERS) and not kind.endswith("]")


class _Keys(Struct, frozen=True):
    """The keys of a call, and what may be asked about them."""

    call: Call
    workload: Workload
    structured: Relation
    dialect: Dialect

    @property
    def _aliases(self) -> Identifiers:
        """The relations' aliases, as in the narrow rows; nothing else is generated here."""
        return Identifiers("", self.dialect)

    @property
    def _names(self) -> tuple[str, str]:
        """The key in the structured relation, and in the images."""
        key = self.dialect.identifier(self.workload.structured_key)
        image_key = self.dialect.identifier(self.workload.image_key)
        return f"{self._aliases.structured}.{key}", f"{self._aliases.images}.{image_key}"

    @property
    def rows(self) -> str:
        """The structured rows, each with its images or none, as text after FROM."""
        on = " = ".join(self._names)
        return (
            f"{self.structured.text} AS {self._aliases.structured} "
            f"LEFT JOIN {self.workload.images.text} AS {self._aliases.images} ON {on}"
        )

    @property
    def n_joined(self) -> str:
        """How many of `rows` have an image."""
        return f"count({self._names[1]})"

    @property
    def example(self) -> str:
        """A key of the structured relation as text."""
        return f"CAST(max({self._names[0]}) AS {self.dialect.text_type})"

    def joining_images(self) -> Relation:
        """Return the image relation, which fails when it is read and no row of `rows` has one."""
        before, after = map(text_literal, self.none_joins("\0").split("\0"))
        images = self.workload.images
        text = (
            f"(SELECT * FROM {images.text} WHERE (SELECT CASE WHEN {self.n_joined} > 0 "
            f"OR count(*) = 0 THEN true ELSE error(concat({before}, {self.example}, {after})) END "
            f"FROM {self.rows}))"
        )
        return replace(images, text=text)

    def none_joins(self, example: str) -> str:
        """Return the sentence of a folder of which no file is in the structured relation."""
        key, image_key = self.workload.structured_key, self.workload.image_key
        file = folders.some_file(self.call.get("images"))
        return (
            f"no row of structured joins a file of {self.call.get('images')!r}: its {key!r} is "
            f"for example '{example}', the folder's {image_key!r} for a file {file!r}; make them "
            "equal in structured => $$SELECT …$$, or give key => ['of structured', 'of images']"
        )

    def incomparable(self, types: tuple[str, str], error: QueryError) -> ArgumentError:
        """Return the error about keys of two types that the database does not compare."""
        key, image_key = self.workload.structured_key, self.workload.image_key
        why = error.message.partition(": ")[2] or error.message
        return self.call.error(
            "key",
            f"the key {key!r} of structured is {types[0]}, {image_key!r} of images is {types[1]}, "
            f"and they do not compare ({why}): cast one, as structured => $$SELECT * REPLACE "
            f"(CAST({self.dialect.identifier(key)} AS {types[1]}) AS "
            f"{self.dialect.identifier(key)}) FROM …$$, or give another key => "
            "['of structured', 'of images']",
        )
