"""A report: one self-contained HTML page about a training or a run, with plots.

`render` finds what was kept and writes the page; `missing` says what has to be installed for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vista_sql.errors import VistaError
from vista_sql.report._facts import Report, find

if TYPE_CHECKING:
    import duckdb

__all__ = ["Report", "find", "missing", "render"]

LIBRARIES = ("jinja2", "matplotlib")
REMEDY = "pip install 'vista-sql[report]'"


def missing() -> str | None:
    """Return what to do before a report can be written; None where nothing is missing."""
    absent = [name for name in LIBRARIES if find_spec(name) is None]
    return f"a report needs {' and '.join(absent)}: {REMEDY}" if absent else None


def render(
    home: str,
    reference: str | None = None,
    comments: Mapping[str, str] | None = None,
    con: duckdb.DuckDBPyConnection | None = None,
) -> tuple[str, str]:
    """Return the page about a run or a model, and a name for its file.

    Args:
        home: the folder of models and runs.
        reference: a model (`healthy`, `healthy@3`), a run's id, or the beginning of one; None: the
            newest training, else the newest run.
        comments: what the database says of its tables, by name; shown where a table is generated.
        con: the database, for pictures of mistakes and hits; None: it cannot be read.

    Raises:
        UnknownNameError: there is no such model or run.
        VistaError: nothing was kept yet, or a library is missing; says what to do.
    """
    remedy = missing()
    if remedy is not None:
        raise VistaError(remedy)
    from vista_sql.report import _page, _pictures, _reasons

    look = (partial(_pictures.thumbnails, con), partial(_reasons.reasons, con, home)) if con else ()
    about = find(home, reference, comments or {}, *look)
    return _page.page(about), file_name(about.subject)


def file_name(subject: str) -> str:
    """Return the name of the file that is about a model or a run.

    Example:
        >>> file_name("my digits@3")
        'my-digits@3.html'
    """
    return f"{'-'.join(subject.split())}.html"
