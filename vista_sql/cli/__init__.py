"""The command line `vista`: one file a command, arguments in, text out.

`cli/<name>.py` holds `COMMAND`; `_app` finds it by its name and turns every error into one line.
Rows go to stdout, all else to stderr. Libraries load when a command needs them.
"""

from __future__ import annotations

import atexit
import sys

from vista_sql.cli import _interrupt
from vista_sql.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command that the arguments name, and end the process with its exit code."""
    ending = _interrupt.Ending()
    atexit.register(ending.now)  # the first of all, so that it runs when all others have
    try:
        app(prog_name="vista")
    except KeyboardInterrupt:  # before a command began or after it ended
        ending.soon()
        sys.exit(_interrupt.EXIT_CODE)
    except SystemExit as exit_:
        if exit_.code == _interrupt.EXIT_CODE:
            ending.soon()
        raise
