"""The command line `vista`: one file a command, arguments in, text out.

`cli/<name>.py` holds `COMMAND`; `_app` finds it by its name and turns every error into one line.
Rows go to stdout, all else to stderr. Libraries load when a command needs them.
"""

from __future__ import annotations

import sys

from vista_sql.cli._app import app
from vista_sql.cli._interrupt import EXIT_CODE

__all__ = ["app", "main"]


def main() -> None:
    """Run the command that the arguments name, and end the process with its exit code."""
    try:
        app(prog_name="vista")
    except KeyboardInterrupt:  # before a command began or after it ended
        sys.exit(EXIT_CODE)
