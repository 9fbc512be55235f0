"""SQL text → sqlglot's tokens and trees; in whatever way sqlglot fails, it shows in one way.

Upon SQL that it does not know sqlglot raises KeyError, AttributeError, RecursionError and others,
and logs. None of that reaches a user: DuckDB says what a statement is that cannot be read here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import ParamSpec, TypeVar

import sqlglot
from sqlglot import Token, exp
from sqlglot.errors import ParseError, SqlglotError, TokenError

from vista_sql.sql.dialect import DUCKDB, Dialect

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


@lru_cache(maxsize=64)
def tokenize(text: str, dialect: Dialect = DUCKDB) -> tuple[Token, ...]:
    """Return the tokens of a text, which know their places in it.

    Raises:
        SqlglotError: it has none, as with a quote that is not closed.
    """
    try:
        return tuple(sqlglot.tokenize(text, dialect=dialect.name))
    except SqlglotError:
        raise
    except Exception as error:  # whatever it meets in text that it does not expect
        raise TokenError(_unread(error)) from error


def tree_of(text: str, dialect: Dialect) -> exp.Expr:
    """Return the tree of one statement.

    Raises:
        SqlglotError: sqlglot cannot read it, in whatever way that shows.
    """
    try:
        return sqlglot.parse_one(text, dialect=dialect.name)
    except SqlglotError:
        raise
    except Exception as error:  # also of trees that are too deep, of statements it half knows
        raise ParseError(_unread(error)) from error


def _unread(error: Exception) -> str:
    return "it nests too deep" if isinstance(error, RecursionError) else "it is not understood"


class OursAreQuiet(logging.Filter):
    """Drops what sqlglot logs while it reads for us: what follows from it is ours to say."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is of somebody else's use of sqlglot."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            if name.startswith("vista_sql.") and frame.f_code is not OursAreQuiet.filter.__code__:
                return False
            frame = frame.f_back
        return True


logging.getLogger("sqlglot").addFilter(OursAreQuiet())


def unless_sqlglot_fails(work: Callable[[], _Answer]) -> _Answer | None:
    """Return what `work` returns; None where sqlglot fails in it, in whatever way that shows."""
    try:
        return work()
    except SqlglotError:
        return None
    except Exception as error:
        if isinstance(error, RecursionError) or _is_of_sqlglot(error):
            return None
        raise


def _is_of_sqlglot(error: Exception) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "sqlglot" in Path(trace.tb_frame.f_code.co_filename).parts


class UnresolvedError(Exception):
    """The names in a tree cannot be resolved: a table's columns are unknown, or sqlglot fails."""


def by_sqlglot(
    function: Callable[_Asked, _Answer], *args: _Asked.args, **kwargs: _Asked.kwargs
) -> _Answer:
    """Call a function of sqlglot's; return what it returns.

    Raises:
        UnresolvedError: it raised anything.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:
        name = getattr(function, "__name__", "sqlglot")
        raise UnresolvedError(f"{name}: {type(error).__name__}: {error}") from error
