"""A folder of pictures and a CSV of labels → which row is about which picture, and what it tells.

People write a picture's name with its folder or without, with its ending or without, in other
capitals, and with slashes of either kind; all of them are found, as long as one picture is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from vista_sql.errors import ArgumentError, QueryError, UnknownNameError, VistaError
from vista_sql.sql.quoting import identifier, text_literal
from vista_sql.units import format_count

if TYPE_CHECKING:
    import duckdb

    from vista_sql.session import Session

PICTURES, TABLE = "__vista_pictures", "labels"
_READ, _MATCHES = "__vista_read", "__vista_matches"  # temporary tables
FOLDER = "folder"  # the column of a picture's folder, which is its label where there is no table
MOST_WORDS = 50
"""A text column with more different values than this is no feature: names, notes."""

MOST_CLASSES = 50
"""A label of whole numbers with more different values than this is learned as a number."""

WHOLE = ("INTEGER", "BIGINT", "HUGEINT")
HEAD_BYTES = 1 << 16  # of a file, that show whether it is text
NUMBERS = (*WHOLE, "FLOAT", "DOUBLE", "DECIMAL")  # what a CSV's columns can be


class Pictures(Struct, frozen=True):
    """The images of a folder; they stand in temporary table `__vista_pictures` (file, folder)."""

    folder: Path  # absolute
    relation: str  # what `images => …` takes
    count: int


class Labels(Struct, frozen=True):
    """What is to be learned, and from which columns.

    Where there is no table of labels, `table` is None and the label is the picture's folder.
    """

    label: str
    is_number: bool  # learned as a number, not as a class
    table: str | None
    features: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()  # columns that are no feature, and why
    has_text: bool = False  # whether some feature is a text of few different values
    has_gaps: bool = False  # whether some other feature is NULL somewhere
    notes: tuple[str, ...] = ()  # what was found, in sentences


def find_pictures(session: Session, folder: Path) -> Pictures:
    """List the images of a folder, as `TRANSFER(images => 'folder/')` does; none is read.

    Raises:
        VistaError: there is none.
    """
    relation = f"{folder.absolute()}/"
    try:
        session.query(
            f"CREATE OR REPLACE TEMP TABLE {PICTURES} AS SELECT file, folder FROM "
            f"TRANSFER(cnn => 'hog', images => {text_literal(relation)})"
        )
    except QueryError as error:
        raise VistaError(error.message) from None  # the statement is not the user's
    count = _number(session.con, f"SELECT count(*) FROM {PICTURES}")
    return Pictures(folder.absolute(), relation, count)


def by_folder(session: Session, pictures: Pictures, label: str | None) -> Labels:
    """Take each picture's folder for its label.

    Raises:
        UnknownNameError: another label is asked for.
        VistaError: the pictures are not in at least two folders, or one is alone in its own.
    """
    if label is not None and label.lower() != FOLDER:
        raise UnknownNameError("label", label, [FOLDER], where="a project without a table")
    rows = session.con.execute(
        f"SELECT folder, count(*) FROM {PICTURES} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    classes = [f"{folder} ({n})" for folder, n in rows if folder is not None]
    if len(classes) < 2:
        found = "in one folder" if classes else "in no folder below it"
        raise VistaError(
            f"the {format_count(pictures.count, 'picture')} of {pictures.folder} are {found}, so "
            "that folders tell no classes apart: give a table too, vista start FOLDER LABELS.csv "
            "--label COLUMN, or put each class into a folder of its own"
        )
    alone = [folder for folder, n in rows if folder is not None and n == 1]
    if alone:
        raise VistaError(
            f"folder {alone[0]!r} holds one picture, and a class takes two, one to train on and "
            "one to test on: add pictures to it, or move it elsewhere"
        )
    note = f"{format_count(pictures.count, 'picture')} in {len(classes)} folders: {_some(classes)}"
    return Labels(FOLDER, False, None, notes=(note,))


def from_table(
    session: Session, pictures: Pictures, table: Path, label: str | None, key: str | None
) -> Labels:
    """Read a CSV into table `labels`, with the picture that each row is about.

    Args:
        session: on the project's database; the table is made anew.
        pictures: of the folder.
        table: a CSV file with a line of column names.
        label: the column to learn, any case.
        key: the column that names the pictures, any case; None: the one that names the most.

    Raises:
        UnknownNameError: there is no column `label` or `key`; the nearest is offered.
        ArgumentError: no label is named; the columns are listed.
        VistaError: the file is no table, no row is about a picture, or the label has one value.
    """
    con = session.con
    columns = list(_read(con, table, ()))
    where = str(table)
    if len(columns) == 1:
        raise VistaError(
            f"{table} is read as a single column, {columns[0]!r}; it needs one that names the "
            "pictures and one to learn: check that all rows have as many values as the first"
        )
    if label is None:
        raise ArgumentError(
            f"say which column of {table} is the label: --label COLUMN; there is: "
            f"{', '.join(columns)}"
        )
    label = _column(label, columns, "--label", where)
    named = [_column(key, columns, "--key", where)] if key is not None else columns
    candidates = [column for column in named if column != label]
    taken = next((c for c in columns if c.lower() == "file"), None)
    if not candidates:
        raise ArgumentError(f"{table} has no column beside {label!r} that could name the pictures")
    types = _read(con, table, candidates)
    found = {column: _match(con, column) for column in candidates}
    column = max(candidates, key=lambda column: found[column])
    if not found[column]:
        raise _no_match(con, table, candidates)
    if taken not in (None, column):
        raise ArgumentError(
            f"{table} has a column {taken!r} beside {column!r}, which names the pictures; the "
            f"project's own table calls that one 'file': rename {taken!r}"
        )
    types = _read(con, table, [column])
    _match(con, column)
    con.execute(
        f"CREATE OR REPLACE TABLE {TABLE} AS SELECT {_MATCHES}.file, columns_of.* EXCLUDE (__row, "
        f"{identifier(column)}) FROM {_READ} AS columns_of JOIN {_MATCHES} USING (__row) "
        f"WHERE {_MATCHES}.file IS NOT NULL ORDER BY __row"
    )
    kinds = {c: kind for c, kind in types.items() if c not in (label, column)}
    features, left_out = _features(con, kinds)
    numbers = [c for c in features if types[c] != "VARCHAR"]
    gaps = " OR ".join(f"{identifier(c)} IS NULL" for c in numbers)
    has_gaps = bool(numbers) and bool(_number(con, f"SELECT count(*) FROM {TABLE} WHERE {gaps}"))
    has_text = len(numbers) < len(features)
    left = _left_out(con, column)
    is_number = _is_number(con, label, types[label], where, left)
    notes = _notes(con, pictures, table, column, left)
    unknown = _number(con, f"SELECT count(*) FROM {TABLE} WHERE {identifier(label)} IS NULL")
    if unknown:
        notes += (f"{format_count(unknown, 'row')} without a {label}: not learned from",)
    return Labels(label, is_number, TABLE, features, left_out, has_text, has_gaps, notes)


def _read(con: duckdb.DuckDBPyConnection, table: Path, as_text: Sequence[str]) -> dict[str, str]:
    """Read the CSV into a temporary table with column __row; return its columns' types by name."""
    import duckdb

    with table.open("rb") as file:
        if b"\0" in file.read(HEAD_BYTES):
            raise VistaError(f"{table} is not text: save the table as a CSV file, and name that")
    path = str(table.absolute())
    for special in "[*?":
        path = path.replace(special, f"[{special}]")  # DuckDB would read a pattern
    types = ", ".join(f"{text_literal(column)}: 'VARCHAR'" for column in as_text)
    options = (
        f"header => true, skip => 0, sample_size => -1{f', types => {{{types}}}' if types else ''}"
    )
    for encoding in ("utf-8", "latin-1"):
        try:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {_READ} AS SELECT row_number() OVER () AS __row, * "
                f"FROM read_csv({text_literal(path)}, {options}, encoding => '{encoding}')"
            )
            break
        except duckdb.Error as error:
            reason = str(error).splitlines()[0].partition(": ")[2] or str(error)
            if encoding == "latin-1" or "utf-8" not in str(error).lower():
                raise VistaError(f"{table} cannot be read as a CSV file: {reason}") from None
    rows = con.execute(f"DESCRIBE {_READ}").fetchall()
    return {name: kind for name, kind, *_ in rows if name != "__row"}


def _column(name: str, columns: Sequence[str], option: str, where: str) -> str:
    for column in columns:
        if column.lower() == name.lower():
            return column
    raise UnknownNameError(f"{option} column", name, columns, where=where)


def _match(con: duckdb.DuckDBPyConnection, column: str) -> int:
    """Fill the table of matches (__row, file) by the names in a column; return how many there are.

    A name means a picture if either is the end of the other's path, the picture's ending being
    optional. Of several pictures the one is taken that agrees best; if two agree equally, none:
    the row's file is NULL then.
    """
    slashes = f"replace(trim({identifier(column)}), '\\', '/')"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {_MATCHES} AS
        WITH named AS (
            SELECT __row, value, parse_filename(value) AS name FROM (
                SELECT __row, ltrim(lower(nfc_normalize({slashes})), './') AS value FROM {_READ}
            ) WHERE value <> ''
        ),
        pictures AS (
            SELECT file, path, parse_filename(path) AS name, ending FROM (
                SELECT file, lower(nfc_normalize(file)) AS path, 0 AS ending FROM {PICTURES}
                UNION ALL
                SELECT file, regexp_replace(lower(nfc_normalize(file)), '\\.[^./]*$', ''), 1
                FROM {PICTURES}
            )
        ),
        pairs AS (
            SELECT __row, file, rank() OVER (
                PARTITION BY __row ORDER BY ending, -least(length(path), length(value))
            ) AS place
            FROM named JOIN pictures USING (name)
            WHERE value = path OR ends_with(value, '/' || path) OR ends_with(path, '/' || value)
        )
        SELECT __row, CASE WHEN count(DISTINCT file) = 1 THEN any_value(file) END AS file
        FROM pairs WHERE place = 1 GROUP BY __row
    """)
    return _number(con, f"SELECT count(file) FROM {_MATCHES}")


def _no_match(con: duckdb.DuckDBPyConnection, table: Path, candidates: Sequence[str]) -> VistaError:
    shown = []
    for column in candidates:
        _match(con, column)
        if _number(con, f"SELECT count(*) FROM {_MATCHES}"):
            left = "; ".join(_left_out(con, column))
            return VistaError(f"no row of {table} names one picture: of column {column!r}, {left}")
    for column in candidates[:4]:
        row = con.execute(
            f"SELECT {identifier(column)} FROM {_READ} WHERE {identifier(column)} IS NOT NULL "
            "ORDER BY __row LIMIT 1"
        ).fetchone()
        shown += [f"column {column!r} has {str(row[0])!r}"] if row else []
    ((picture,),) = con.execute(f"SELECT file FROM {PICTURES} ORDER BY file LIMIT 1").fetchall()
    return VistaError(
        f"no row of {table} names a picture: {', '.join(shown) or 'it has no rows'}, and a picture "
        f"is {picture!r}; put the pictures' file names into a column, with or without folder and "
        "ending"
    )


def _left_out(con: duckdb.DuckDBPyConnection, column: str) -> tuple[str, ...]:
    """Return how many rows have no picture of their own, and why, each with an example."""
    rows = f"FROM {_READ} LEFT JOIN {_MATCHES} ON {_MATCHES}.__row = {_READ}.__row"
    of_none, of_several = f"{_MATCHES}.__row IS NULL", f"{_MATCHES}.file IS NULL AND NOT"
    reasons = (
        (of_none, "no picture has that name", ""),
        (f"{of_several} {of_none}", "several pictures have that name", ": write its folder before"),
    )
    left = []
    for which, why, remedy in reasons:
        n, example = con.execute(
            f"SELECT count(*), arg_min(coalesce({_READ}.{identifier(column)}, 'NULL'), "
            f"{_READ}.__row) {rows} WHERE {which}"
        ).fetchall()[0]
        if n:
            left.append(
                f"{format_count(n, 'row')} left out, because {why}, for example {example!r}{remedy}"
            )
    return tuple(left)


def _features(
    con: duckdb.DuckDBPyConnection, types: dict[str, str]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the columns to learn from, and the others with why they are left out."""
    features, left_out = [], []
    for column, kind in types.items():
        if kind.partition("(")[0] not in ("BOOLEAN", "VARCHAR", *NUMBERS):
            left_out.append((column, kind))
            continue
        name = identifier(column)
        n, different = con.execute(
            f"SELECT count({name}), count(DISTINCT {name}) FROM {TABLE}"
        ).fetchall()[0]
        if not n:
            left_out.append((column, "empty"))
        elif different == 1:
            left_out.append((column, "the same everywhere"))
        elif n == different and kind in WHOLE:
            left_out.append((column, "a different whole number in each row, like an identifier"))
        elif kind == "VARCHAR" and (different > MOST_WORDS or 2 * different > n):
            left_out.append((column, "text with many different values"))
        else:
            features.append(column)
    return tuple(features), tuple(left_out)


def _is_number(
    con: duckdb.DuckDBPyConnection, label: str, kind: str, where: str, left: Sequence[str]
) -> bool:
    """Return whether a label is learned as a number.

    Args:
        con: with the table of labels.
        label: its column.
        kind: its type.
        where: the file, in a user's words.
        left: of the file's rows that have no picture, how many and why.

    Raises:
        VistaError: it has no two values, or is a class that has one row.
    """
    name = identifier(label)
    ((different,),) = con.execute(f"SELECT count(DISTINCT {name}) FROM {TABLE}").fetchall()
    if different < 2:
        why = f" ({'; '.join(left)})" if left else ""
        raise VistaError(
            f"column {label!r} of {where} has {format_count(different, 'different value')} in the "
            f"rows that have a picture{why}: there is nothing to learn; name another with --label"
        )
    if kind.partition("(")[0] in NUMBERS:
        fractions = _number(con, f"SELECT count(*) FROM {TABLE} WHERE {name} <> round({name})")
        if fractions or different > MOST_CLASSES:
            return True
    alone = con.execute(
        f"SELECT {name} FROM {TABLE} WHERE {name} IS NOT NULL GROUP BY ALL HAVING count(*) = 1 "
        "ORDER BY ALL"
    ).fetchall()
    if alone:
        raise VistaError(
            f"{len(alone)} of the {different} values of column {label!r} of {where} have one row, "
            f"for example {str(alone[0][0])!r}, and a class takes two, one to train on and one to "
            "test on: name another column with --label, or leave these rows out"
        )
    return False


def _notes(
    con: duckdb.DuckDBPyConnection,
    pictures: Pictures,
    table: Path,
    column: str,
    left: Sequence[str],
) -> tuple[str, ...]:
    """Return what was found, and what did not fit, each with an example."""
    n_rows = _number(con, f"SELECT count(*) FROM {_READ}")
    notes = [
        f"{format_count(pictures.count, 'picture')} in {pictures.folder}, "
        f"{format_count(n_rows, 'row')} in {table}; column {column!r} names the pictures",
        *left,
    ]
    alone = f"FROM {PICTURES} WHERE file NOT IN (SELECT file FROM {TABLE})"
    n_alone = _number(con, f"SELECT count(*) {alone}")
    if n_alone:
        example = con.execute(f"SELECT file {alone} ORDER BY file LIMIT 1").fetchall()[0][0]
        notes.append(f"{format_count(n_alone, 'picture')} without a row, for example {example!r}")
    return tuple(notes)


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])
