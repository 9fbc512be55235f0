"""The SQL that a shell reads first: it loads the extension and makes our table functions."""

from __future__ import annotations

import sys
from pathlib import Path

from vista_sql import files
from vista_sql.hosts import macros
from vista_sql.hosts.shell import places
from vista_sql.sql.quoting import text_literal


def script(extension: Path) -> str:
    """Return the statements; the shell must have been started with -unsigned."""
    worker = f"{text_literal(sys.executable)}, {text_literal(places.worker_name())}"
    return "\n".join(
        [
            f"LOAD {text_literal(str(extension))};",
            f"SET VARIABLE vista_worker = vista_worker({worker});",
            *(f"{text};" for text in macros.macros()),
            "",
        ]
    )


def written(extension: Path) -> Path:
    """Write the statements to this installation's own file and return its path."""
    return _written(f"{places.worker_name()}.sql", script(extension))


def resource_line(extension: Path) -> str:
    """Return the line for ~/.duckdbrc; the files that it names are written.

    A shell that was not started with -unsigned cannot load the extension, and ends if a file that
    it reads at its start tries: such a shell reads an empty file.
    """
    chosen = files.user_data() / "chosen.sql"
    read = text_literal(f".read '{written(extension)}'")
    text = (
        f"COPY (SELECT {read} WHERE current_setting('allow_unsigned_extensions')) "
        f"TO {text_literal(str(chosen))} (FORMAT csv, HEADER false, QUOTE '');\n.read '{chosen}'\n"
    )
    return f".read '{_written('duckdbrc.sql', text)}'"


def _written(name: str, text: str) -> Path:
    path = files.user_data() / name
    if not path.exists() or path.read_bytes() != text.encode():
        files.write(path, text)
    return path
