"""What planning may ask of a database: `Database`, and `Unseen` where nothing can be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from vista_sql.errors import QueryError
from vista_sql.kernels import AtHand
from vista_sql.sql.parse import Ctes


class Database(Protocol):
    """What a host tells planning of its data; every text is in the host's own dialect."""

    def columns(self, query: str) -> Mapping[str, str] | None:
        """Return a query's columns (name → type); None where they cannot be seen.

        Raises:
            QueryError: it does not bind; in the database's words.
        """

    def glimpse(self, relation: str) -> Mapping[str, str] | None:
        """Return what a relation's columns probably are, where `columns` cannot tell."""

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables and views there are."""

    def value(self, expression: str) -> Any:
        """Return the value of a constant expression, the statement's parameters included.

        Raises:
            QueryError: it has none here.
        """

    def counts(self, query: str) -> tuple[float | None, ...]:
        """Return the one row of numbers that a query gives.

        Raises:
            QueryError: it fails.
        """

    def texts(self, query: str) -> Sequence[str | None]:
        """Return the values of a query's one column, which is text."""

    def images_at_hand(self, query: str, schemes: str) -> AtHand:
        """Return what is known of some images: of those in the column, or in files here.

        Args:
            query: columns as `image_types.beginnings` has them.
            schemes: of URIs that may be read, with commas between; "": all.

        Raises:
            QueryError: it fails.
        """

    def image_digests(self, query: str, schemes: str) -> Sequence[bytes]:
        """Return the feature store's digests of the images at hand in a query's one column."""

    def views(self) -> Mapping[str, str]:
        """Return the definitions of the views there are, by name in lower case."""

    def has_usual_order(self) -> bool:
        """Return whether ORDER BY without further words is ascending, and has NULLs last."""

    def has_collations(self) -> bool:
        """Return whether text may compare otherwise than byte by byte, in any column."""

    def plan(self, query: str) -> str:
        """Return the physical plan of a query as JSON, as DuckDB prints it.

        Raises:
            QueryError: it does not bind.
        """


class Unseen(Struct, frozen=True):
    """A database of which nothing is known: a call is planned while its statement is bound.

    A temporary table, a CTE or an uncommitted row may then hide what a name stands for, so that
    everything that needs the schema is left to the database's binder, or to the kernels.
    """

    look: Callable[[str], Mapping[str, str] | None] = lambda relation: None

    def columns(self, query: str) -> Mapping[str, str] | None:
        """Return None: they cannot be seen."""
        return None

    def glimpse(self, relation: str) -> Mapping[str, str] | None:
        """Return the columns of the committed, lasting relation of that name, if there is one."""
        return self.look(relation)

    def tables(self) -> tuple[str, ...]:
        """Return no names."""
        return ()

    def value(self, expression: str) -> Any:
        """Raise QueryError: only the statement that is being bound knows it."""
        raise QueryError(f"{expression} cannot be used inside a text here: write the value itself")

    def counts(self, query: str) -> tuple[float | None, ...]:
        """Raise QueryError: nothing can be counted."""
        raise QueryError("rows cannot be counted while a statement is bound")

    def texts(self, query: str) -> Sequence[str | None]:
        """Return no texts."""
        return ()

    def images_at_hand(self, query: str, schemes: str) -> AtHand:
        """Return nothing: no image is at hand."""
        return AtHand()

    def image_digests(self, query: str, schemes: str) -> Sequence[bytes]:
        """Return no digests."""
        return ()

    def views(self) -> Mapping[str, str]:
        """Return no views."""
        return {}

    def has_usual_order(self) -> bool:
        """Return False: nothing says so."""
        return False

    def has_collations(self) -> bool:
        """Return True: nothing says that there is none."""
        return True

    def plan(self, query: str) -> str:
        """Raise QueryError: nothing can be planned."""
        raise QueryError("a plan cannot be made while a statement is bound")


class Naming(Struct, frozen=True):
    """A database in which texts can also name the CTEs that a call of the statement sees."""

    database: Database
    ctes: Ctes

    @property
    def clause(self) -> str:
        """The WITH clause that a text needs, to stand outside its statement; ends in a space."""
        return with_clause(self.ctes)

    def columns(self, query: str) -> Mapping[str, str] | None:
        """Return a query's columns (name → type); None where they cannot be seen."""
        return self.database.columns(self.clause + query)

    def glimpse(self, relation: str) -> Mapping[str, str] | None:
        """Return what a relation's columns probably are; a CTE's are not known."""
        return self.database.glimpse(relation)

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables and views there are."""
        return self.database.tables()

    def value(self, expression: str) -> Any:
        """Return the value of a constant expression."""
        return self.database.value(expression)

    def counts(self, query: str) -> tuple[float | None, ...]:
        """Return the one row of numbers that a query gives."""
        return self.database.counts(self.clause + query)

    def texts(self, query: str) -> Sequence[str | None]:
        """Return the values of a query's one column."""
        return self.database.texts(self.clause + query)

    def images_at_hand(self, query: str, schemes: str) -> AtHand:
        """Return what is known of some images."""
        return self.database.images_at_hand(self.clause + query, schemes)

    def image_digests(self, query: str, schemes: str) -> Sequence[bytes]:
        """Return the feature store's digests of the images at hand."""
        return self.database.image_digests(self.clause + query, schemes)

    def views(self) -> Mapping[str, str]:
        """Return the definitions of the views there are."""
        return self.database.views()

    def has_usual_order(self) -> bool:
        """Return whether ORDER BY without further words is ascending, and has NULLs last."""
        return self.database.has_usual_order()

    def has_collations(self) -> bool:
        """Return whether text may compare otherwise than byte by byte."""
        return self.database.has_collations()

    def plan(self, query: str) -> str:
        """Return the physical plan of a query as JSON."""
        return self.database.plan(self.clause + query)

    def naming(self, ctes: Ctes) -> Naming:
        """Return the same database where more can be named."""
        return Naming(self.database, self.ctes + ctes)


def with_clause(ctes: Ctes) -> str:
    """Return definitions as a WITH clause that ends in a space; "" for none.

    Example:
        >>> with_clause((("a AS (SELECT 1)", False), ("b AS (FROM a)", False)))
        'WITH a AS (SELECT 1), b AS (FROM a) '
    """
    if not ctes:
        return ""
    recursive = "RECURSIVE " if any(recursive for _, recursive in ctes) else ""
    return f"WITH {recursive}{', '.join(text for text, _ in ctes)} "
