"""Paths given as a relation: a folder or a glob of image files, a file that DuckDB can read.

A folder is read recursively; a glob means what DuckDB's `glob()` takes it for. Of either, the rows
are the image files, hidden ones left out, whose names end in one of IMAGE_SUFFIXES.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vista_sql.errors import QueryError, UnknownNameError
from vista_sql.kernels import IMAGE_SUFFIXES
from vista_sql.sql.quoting import text_literal

KEY, IMAGE = "file", "path"
COLUMNS = (KEY, "folder", IMAGE)
"""The columns of a folder, all VARCHAR: the default key, the last folder's name, the image."""

NO_FILES = f"(SELECT {', '.join(f'CAST(NULL AS VARCHAR) AS {name}' for name in COLUMNS)})"
"""A relation of these columns, which looks at no folder."""

_GLOB = re.compile(r"[*?\[]")
_QUERY = re.compile(
    r"""\s*(?:[('] | [\w.]*" | -- | /\*.*?\*/
    | (?:SELECT|FROM|WITH|VALUES|TABLE|PIVOT|UNPIVOT|SUMMARIZE|DESCRIBE|SHOW)[\s('"*$]
    | \w[\w.]*\s*\(.*\)[\s;]*$)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
"""How a query, the call of a table function, or a quoted name begins."""
_ENDS_AS_FOLDER = re.compile(r"^(?!.*--).*[^*]/$", re.DOTALL)
"""What no query ends in, unless a comment does."""
_TABLE = re.compile(r"\.(?:csv|tsv|json|jsonl|ndjson|parquet)(?:\.gz|\.zst)?$", re.IGNORECASE)


def is_folder(relation: object) -> bool:
    """Return whether a relation's text is a folder or a glob of image files.

    Example:
        >>> [is_folder(text) for text in ("photos/", "p/*.jpg", "photo[0-9].png", "/data/a b/")]
        [True, True, True, True]
        >>> [is_folder(text) for text in ("from 2020/", "with Ann/", "(new)/", "SELECT 1 /* a/ */")]
        [True, True, True, False]
        >>> texts = ("photos", "SELECT * FROM p", "f('p/*.jpg')", 'my."[x]"', "p/*.parquet", "a/b")
        >>> [is_folder(text) for text in texts]
        [False, False, False, False, False, False]
    """
    if not isinstance(relation, str):
        return False
    text = relation.strip()
    is_query = _QUERY.match(text) and not _ENDS_AS_FOLDER.search(text)
    if is_query or "\n" in text:
        return False
    is_path = text.endswith("/") or bool(_GLOB.search(text))
    return is_path and not _TABLE.search(text)


def is_table_file(relation: str) -> bool:
    """Return whether a relation's text is the path of a file, or of files, that DuckDB reads.

    Example:
        >>> [is_table_file(text) for text in ("data/x.csv", "p/*.parquet", "s3://a/x.json.gz")]
        [True, True, True]
        >>> [is_table_file(text) for text in ("FROM 'x.csv'", "read_csv('x.csv')", "photos")]
        [False, False, False]
    """
    return not _QUERY.match(relation) and bool(_TABLE.search(relation.strip()))


def with_defaults(values: Mapping[str, object]) -> dict[str, object]:
    """Return a call's arguments with those that a folder as its `images` implies.

    The image is the path. The key is the file; one name that a folder does not have is the
    structured relation's, and the file is joined with it.

    Example:
        >>> with_defaults({"images": "photos/"})
        {'images': 'photos/', 'image': 'path', 'key': 'file'}
        >>> with_defaults({"images": "photos/", "structured": "foods", "key": "picture"})["key"]
        ['picture', 'file']
        >>> with_defaults({"images": "photos"})
        {'images': 'photos'}
    """
    if not is_folder(values.get("images")):
        return dict(values)
    implied = {name: values.get(name) for name in ("image", "key")}
    implied["image"] = implied["image"] or IMAGE
    key = implied["key"] or KEY
    if isinstance(key, str) and key.lower() not in COLUMNS and values.get("structured") is not None:
        key = [key, KEY]
    return {**values, **implied, "key": key}


def select(relation: str) -> str:
    """Return the SELECT of the image files of a folder or glob: `file`, `folder`, `path`.

    `file` is relative to the folder, of a glob to the last folder before its first `*`, `?` or `[`;
    `folder` is NULL at the top.

    No filter tells the files apart, since DuckDB 1.5 (the shell's) lifts filters above joins and so
    above the kernels: of a file that is no image, a list of none is unnested.

    Example:
        >>> print(select("my photos/"))  # doctest: +ELLIPSIS
        SELECT file, nullif(regexp_extract(file, '([^/]+)/[^/]+$', 1), '') AS folder, path
        FROM (SELECT path, substr(path, 11) AS file
        FROM (SELECT unnest(CASE WHEN regexp_matches(path, '[.](avif|...|jxl)$', 'i')
        AND NOT regexp_matches(substr(path, 11), '(^|/)[.]') THEN [path] END) AS path
        FROM (SELECT regexp_replace(file, '^[.]/', '') AS path FROM glob('my photos/**/*'))))
    """
    base, pattern = _split(relation.strip())
    endings = f"[.]({'|'.join(IMAGE_SUFFIXES)})$"
    files, relative = text_literal(_escaped(base) + pattern), _relative(base)
    return (
        f"SELECT {KEY}, nullif(regexp_extract({KEY}, '([^/]+)/[^/]+$', 1), '') AS folder, {IMAGE}\n"
        f"FROM (SELECT {IMAGE}, {relative} AS {KEY}\n"
        f"FROM (SELECT unnest(CASE WHEN regexp_matches({IMAGE}, '{endings}', 'i')\n"
        f"AND NOT regexp_matches({relative}, '(^|/)[.]') THEN [{IMAGE}] END) AS {IMAGE}\n"
        f"FROM (SELECT regexp_replace(file, '^[.]/', '') AS {IMAGE} FROM glob({files}))))"
    )


def table_file(relation: str) -> str:
    """Return the SELECT of a file that DuckDB reads as a table.

    Example:
        >>> table_file(" data/labels.csv")
        "SELECT * FROM 'data/labels.csv'"
    """
    return f"SELECT * FROM {text_literal(relation.strip())}"


def some_file(relation: str) -> str:
    """Return an image file of a folder or a glob, as its column `file` has it; "" behind a URI.

    Raises:
        UnknownNameError: there is no such folder; the nearest one is offered.
        QueryError: no file in it is an image's by its name.
    """
    text = relation.strip()
    base, pattern = _split(text)
    if "://" in base:
        return ""
    folder = Path(base or ".").expanduser()
    if not folder.is_dir():
        raise _unknown(base)
    n_others = 0
    for file in _files(folder, pattern):
        if file.rpartition(".")[2].lower() in IMAGE_SUFFIXES:
            return file
        n_others += 1
    if not n_others and text.endswith("/") and not _is_there(text):
        raise _unknown(text)
    others = f"{n_others or 'no'} file{'' if n_others == 1 else 's'}"
    raise QueryError(
        f"there is no image in {text!r} ({folder.resolve()}: {others}, hidden ones left out): "
        f"images are files whose names end in .{', .'.join(IMAGE_SUFFIXES)}"
    )


def without_slash(relation: object) -> str | None:
    """Return a relation's text as the folder that it is but for the `/` at its end; else None.

    Example:
        >>> without_slash("."), without_slash("./"), without_slash("no such folder")
        ('./', None, None)
    """
    if not isinstance(relation, str) or is_folder(relation) or _QUERY.match(relation):
        return None
    text = relation.strip()
    try:
        is_there = bool(text) and Path(text).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # no name of a file, or of a user
        return None
    return f"{text}/" if is_there else None


def _unknown(folder: str) -> UnknownNameError:
    """Return the error about a folder that is not there, with those beside it."""
    beside = Path(folder).expanduser().parent
    there = beside.iterdir() if beside.is_dir() else ()
    names = sorted(one.name for one in there if one.is_dir() and not one.name.startswith("."))
    return UnknownNameError("folder", Path(folder).name, names, where=str(beside.resolve()))


def _split(text: str) -> tuple[str, str]:
    """Return the folder, as `glob()` shows it at the beginning of its paths, and the glob in it.

    Example:
        >>> for text in ("./my//photos/", "../a/b*/*.png", "*.png", "//data/", "file:///data/"):
        ...     print(_split(text))
        ('my/photos/', '**/*')
        ('../a/', 'b*/*.[pP][nN][gG]')
        ('', '*.[pP][nN][gG]')
        ('/data/', '**/*')
        ('/data/', '**/*')
    """
    text, is_all = text.removeprefix("file://"), text.endswith("/")
    head, tail = (text, "") if is_all and _is_there(text) else _before_glob(text)
    if is_all:
        tail += "**/*"
    if "://" not in head and head:
        head = re.sub(r"^/+", "/", os.path.normpath(head)).rstrip("/") + "/"
        head = "" if head == "./" else head
    return head, _in_any_case(tail)


def _is_there(text: str) -> bool:
    """Return whether a folder is called so, or nothing in its name is a glob."""
    return not _GLOB.search(text) or Path(text).expanduser().is_dir()


def _before_glob(text: str) -> tuple[str, str]:
    found = _GLOB.search(text)
    at = len(text) if found is None else text.rfind("/", 0, found.start()) + 1
    return text[:at], text[at:]


def _in_any_case(pattern: str) -> str:
    """Return a glob whose suffix, where it names one of IMAGE_SUFFIXES, is matched in any case.

    Example:
        >>> _in_any_case("*.jpg"), _in_any_case("*.j*")
        ('*.[jJ][pP][gG]', '*.j*')
    """
    name, dot, suffix = pattern.rpartition(".")
    if not dot or suffix.lower() not in IMAGE_SUFFIXES:
        return pattern
    either = (f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in suffix)
    return f"{name}.{''.join(either)}"


def _escaped(folder: str) -> str:
    """Return a folder's name as a glob that matches it alone."""
    return re.sub(r"[*?\[]", r"[\g<0>]", folder)


def _relative(base: str) -> str:
    """Return an expression over `path`, a file that `glob()` found: the path within the folder."""
    if not base.startswith("~/"):
        return f"substr({IMAGE}, {len(base) + 1})"
    home = text_literal(str(Path.home()))
    home = f"coalesce(nullif(current_setting('home_directory'), ''), {home})"
    return f"substr({IMAGE}, length({home}) + {len(base)})"


def _files(folder: Path, pattern: str) -> Iterator[str]:
    """Yield the files that a glob may mean, hidden ones left out; the order is any."""
    if pattern != "**/*":
        for found in glob.iglob(pattern, root_dir=folder, recursive=True):  # noqa: PTH207 - hides
            if (folder / found).is_file():
                yield found
        return
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield (Path(place) / name).relative_to(folder).as_posix()
