"""The stock duckdb shell: where it is, and whether it can read a database file."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

from vista_sql.errors import HostError

STORAGE = {(1, 2): 65, (1, 3): 66, (1, 4): 67, (1, 5): 68}
"""The newest storage format that a release (major, minor) of the shell reads."""

MAGIC = slice(8, 12)
FORMAT = slice(12, 20)
"""Where a database file has `DUCK`, and the number of its storage format."""


def find() -> Path:
    """Return the shell's own binary: that of this Python's duckdb-cli, else the one on the PATH.

    duckdb-cli 1.5 puts a Python script on the PATH, which ends on Ctrl-C while its shell goes on.

    Raises:
        HostError: there is none.
    """
    package = importlib.util.find_spec("duckdb_cli")
    beside = Path(sys.executable).parent / "duckdb"
    places = [
        Path(folder) / "duckdb" for folder in (package and package.submodule_search_locations) or ()
    ]
    for place in (*places, beside):
        if place.is_file():
            return place
    on_path = shutil.which("duckdb")
    if on_path is None:
        raise HostError("there is no duckdb shell: pip install 'vista-sql[shell]'")
    return Path(on_path)


def version(shell: Path) -> tuple[int, ...]:
    """Return the version of a shell.

    Raises:
        HostError: it says none.
    """
    printed = subprocess.run([shell, "-version"], capture_output=True, text=True, check=False)
    match = re.match(r"v(\d+)\.(\d+)\.(\d+)", printed.stdout)
    if match is None:
        raise HostError(f"{shell} is not a duckdb shell: it prints {printed.stdout[:100]!r}")
    return tuple(map(int, match.groups()))


def check_readable(shell: Path, database: Path) -> None:
    """Refuse a database file that the shell is too old to open; any other file is the shell's.

    Raises:
        HostError: says how to write the file so that it opens.
    """
    try:
        with database.open("rb") as file:
            head = file.read(FORMAT.stop)
    except OSError:
        return
    number = int.from_bytes(head[FORMAT], "little")
    if head[MAGIC] != b"DUCK":
        return
    major, minor, *_ = version(shell)
    if number > STORAGE.get((major, minor), number):
        raise HostError(
            f"{database} has storage format {number}, which duckdb {major}.{minor} cannot open. "
            "Copy it once in Python: con = duckdb.connect(); "
            f"con.execute(\"ATTACH '{database}' AS a (READ_ONLY); ATTACH 'copy.duckdb' AS b "
            "(STORAGE_VERSION 'v1.4.0'); COPY FROM DATABASE a TO b\"). Files that "
            "vista_sql.connect() creates open in every shell from 1.4 on"
        )
