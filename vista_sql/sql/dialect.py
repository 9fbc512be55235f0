"""The dialects of SQL that hosts read and print: named here, and handed on as data."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Dialect(Struct, frozen=True):
    """A dialect, and what the narrow rows of a call need of it; kernel calls are DuckDB's alone."""

    name: str  # as sqlglot has it
    quote: str  # stands around identifiers; doubled inside of them
    hash_function: str  # of any value; equal values have equal hashes
    text_type: str = "VARCHAR"
    text_bytes: str = "strlen"  # function: the bytes of a text
    raises: str = "error"  # function that raises its argument, and never returns
    escape: str = "'"  # stands before a quote within a text
    less: str = "EXCLUDE"  # stands between * and the columns that it leaves out
    struct_function: str = ""  # of names and values, one after the other; "": a literal has them

    def identifier(self, name: str) -> str:
        """Return a name as a quoted identifier.

        Example:
            >>> print(DUCKDB.identifier('a "b" c'))
            "a ""b"" c"
        """
        doubled = name.replace(self.quote, 2 * self.quote)
        return f"{self.quote}{doubled}{self.quote}"

    def text(self, text: str) -> str:
        r"""Return a text as a literal.

        Example:
            >>> print(DUCKDB.text("it's"), SPARK.text("it's"))
            'it''s' 'it\'s'
        """
        if self.escape != "'":
            text = text.replace(self.escape, 2 * self.escape)
        return "'" + text.replace("'", f"{self.escape}'") + "'"

    def struct(self, fields: Mapping[str, str]) -> str:
        """Return a STRUCT of expressions, by the fields' names.

        Example:
            >>> print(DUCKDB.struct({"x": "a + 1"}), SPARK.struct({"x": "a + 1"}))
            {'x': a + 1} named_struct('x', a + 1)
        """
        if not self.struct_function:
            return f"{{{', '.join(f'{self.text(name)}: {v}' for name, v in fields.items())}}}"
        named = ", ".join(f"{self.text(name)}, {value}" for name, value in fields.items())
        return f"{self.struct_function}({named})"


DUCKDB = Dialect("duckdb", '"', "hash")
"""What a host speaks unless its capabilities say otherwise."""

SPARK = Dialect(
    "spark",
    "`",
    "xxhash64",
    text_type="STRING",
    text_bytes="octet_length",
    raises="raise_error",
    escape="\\",
    less="EXCEPT",
    struct_function="named_struct",
)
"""Spark SQL, with the escapes of texts that it has unless told otherwise."""
