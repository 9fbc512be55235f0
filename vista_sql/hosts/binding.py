"""Plan calls while an engine binds the statements that hold them: the same for every SQL host."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from vista_sql.hosts import Host, macros
from vista_sql.machine import calibration
from vista_sql.machine.calibration import Rates
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.database import Unseen
from vista_sql.planning.planner import plan_call
from vista_sql.planning.script import Script
from vista_sql.runs import CountsByRun, Runs
from vista_sql.settings import Settings
from vista_sql.sql.calls import Call

Look = Callable[[str], Mapping[str, str] | None]
"""Tells the columns of a relation, as text after FROM; None: they cannot be seen."""


class Binder(Host[str]):
    """A database on which calls are planned one by one: its home folder, its runs, its names.

    It is a host: what it is asked to run is one SELECT, which the engine binds in the statement.
    """

    def __init__(
        self,
        home: str,
        salt: str,
        capabilities: Capabilities,
        counters: CountsByRun,
        look: Look = lambda relation: None,
    ) -> None:
        """Keep what the calls have in common.

        Args:
            home: the folder of models, runs and errors, unless the settings say.
            salt: makes generated names unguessable.
            capabilities: what the host can do.
            counters: where the kernels count.
            look: returns the columns of a committed, lasting relation, if it can be seen.
        """
        self._capabilities, self._database = capabilities, Unseen(look)
        self._home, self._salt, self._counters = home, salt, counters
        self._runs: Runs | None = None
        self._lock = threading.Lock()  # connections of several threads may bind at once

    @property
    def capabilities(self) -> Capabilities:
        """What the host can do."""
        return self._capabilities

    @property
    def database(self) -> Unseen:
        """What planning may ask: next to nothing."""
        return self._database

    def home(self, settings: Settings, folder: str = "") -> str:
        """Return the folder of models, runs and errors; a relative one is relative to `folder`."""
        setting = settings.value("home").value
        return self._home if setting is None else str(Path(folder) / Path(setting).expanduser())

    def rates(self, settings: Settings) -> Rates:
        """Return the seconds that this machine takes, as far as they are known."""
        return calibration.load(calibration.file_of(settings.value("calibration")))

    def run(self, script: Script) -> str:
        """Return the SELECT that the engine runs: nothing of it stands apart."""
        return script.text

    def expand(
        self, call: Call, settings: Settings, folder: str = "", look: Look | None = None
    ) -> str:
        """Return the SELECT that a call stands for.

        Args:
            call: as the macro has it.
            settings: those of the user's connection.
            folder: the user's working folder; "" is the process's.
            look: for this call in place of the binder's own.
        """
        in_macro = macros.of_parameter(call)
        if in_macro is not None:
            return in_macro
        home = self.home(settings, folder)
        with self._lock:
            if self._runs is None:
                self._runs = Runs(home)
                weakref.finalize(self, self._runs.flush, self._counters)
            else:
                self._runs.flush(self._counters)
        context = Context(
            settings,
            home,
            self.capabilities,
            FreshNames(f"{self._salt}{call.function}{sorted(call.values.items())}"),
            rates=self.rates(settings),
            open_run=partial(self._runs.open, f"{call.function.upper()}({dict(call.values)})"),
            folder=folder,
        )
        database = self.database if look is None else Unseen(look)
        return self.run(plan_call(call, database, context))

    def flush(self) -> None:
        """Write the records of runs that read something since."""
        if self._runs is not None:
            self._runs.flush(self._counters)
