"""The dialects of SQL that hosts read and print: named here, and handed on as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """A dialect, and what the narrow rows of a call need of it; kernel calls are DuckDB's alone."""

    name: str  # as sqlglot has it
    quote: str  # stands around identifiers; doubled inside of them
    hash_function: str  # of any value; equal values have equal hashes

    def identifier(self, name: str) -> str:
        """Return a name as a quoted identifier.

        Example:
            >>> print(DUCKDB.identifier('a "b" c'))
            "a ""b"" c"
        """
        doubled = name.replace(self.quote, 2 * self.quote)
        return f"{self.quote}{doubled}{self.quote}"


DUCKDB = Dialect("duckdb", '"', "hash")
"""What a host speaks unless its capabilities say otherwise."""
