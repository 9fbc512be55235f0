"""What planning works with beside a statement and its database: settings, host, machine, names."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from vista_sql import models
from vista_sql.errors import ModelError, UnknownNameError
from vista_sql.kernels import InferSpec
from vista_sql.machine import resources
from vista_sql.machine.calibration import DEFAULTS, Rates
from vista_sql.machine.resources import Resources
from vista_sql.planning import memory
from vista_sql.planning.candidates import Hints, Machine
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.engines import NO_ENGINES, Engines
from vista_sql.planning.executors import Executors
from vista_sql.settings import Settings, Value
from vista_sql.sql.calls import Call, load

GENERATED = "__vista_"
"""What names begin with that are made for a statement."""


class FreshNames(Struct):
    """Makes identifiers that no user's name equals; equal sequences of requests get equal names."""

    salt: str
    count: int = 0

    def fresh(self, role: str) -> str:
        """Return `__vista_<8 hex digits>_<role>`, another one at each call.

        Example:
            >>> names = FreshNames("salt")
            >>> names.fresh("rows"), names.fresh("rows")
            ('__vista_9348d072_rows', '__vista_648ce899_rows')
        """
        self.count += 1
        digest = blake2b(f"{self.salt}:{self.count}".encode(), digest_size=4).hexdigest()
        return f"{GENERATED}{digest}_{role}"


def _no_run(plan: str) -> str:
    """Return "": nothing is counted."""
    return ""


class Context(Struct, frozen=True):
    """Everything that a plan depends on but the statement and its data."""

    settings: Settings
    home: str  # folder of models, runs and errors
    capabilities: Capabilities  # of the host
    names: FreshNames
    rates: Rates = DEFAULTS
    engines: Engines = NO_ENGINES
    open_run: Callable[[str], str] = field(default=_no_run)  # plan's name → run that counts
    folder: str = ""  # what relative paths are relative to; "" is the process's working folder
    needs_all: bool = False  # what a statement seems not to use is there all the same
    gate: str = ""  # of a training that may say it has seen enough; "": of none
    training_limits: tuple[Value, ...] = ()  # memory_limit of each training that is fed
    executors: Executors | None = None  # of a cluster; None: all runs in this process
    made_by: Callable[[InferSpec], str] | None = None
    """What `vista_space` says of an order where inference runs; None: tables hold no maps here."""

    def setting(self, name: str, call: Call) -> Value:
        """Return the value of a setting that wins: the call's argument's, if it has such a one.

        Raises:
            SettingError: the value that wins cannot be read.
            ArgumentError: that is the call's own.
        """
        has = any(argument.name == name for argument in load(call.function).arguments)
        return self.settings.value(name, call.get(name) if has else None)

    def resources(self, call: Call) -> Resources:
        """Return the cores and the memory that a call may use: a training has a share of it."""
        limits = (self.setting("memory_limit", call), *self.training_limits)
        set_limits = [limit for limit in limits if limit.value is not None]
        least = min(set_limits, key=lambda limit: int(limit.value), default=None)
        whole = resources.machine(None if least is None else least.value)
        source = whole.memory_source
        if least is not None and source == "memory_limit":
            source = f"memory_limit, {least.source}"
        if not self.training_limits:
            return replace(whole, memory_source=source)
        return replace(
            whole,
            memory_bytes=memory.beside_training(whole.memory_bytes),
            memory_source=f"{source}, less the training's share",
            share=memory.BESIDE_TRAINING,
        )

    def machine(self, call: Call) -> Machine:
        """Return what the plan of a TRANSFER call may use, and the hints that restrict it."""
        hints = Hints(**{name: self.setting(name, call) for name in Hints.__struct_fields__})
        resources, executors = self.resources(call), self.executors
        if executors is not None:
            executors = executors.running(hints.cpu, hints.plan)
            resources = executors.task(resources)
        return Machine(resources, self.capabilities, hints, self.rates, executors)

    def located(self, call: Call) -> Call:
        """Return a call whose networks are files: kept ones, and relative paths in `folder`.

        Raises:
            UnknownNameError: it names a kept network, and there is no such model.
            ArgumentError: that model has no network of its own.
        """
        values = dict(call.values)
        if "cnn" in values:
            values["cnn"] = self._at_home(call, values["cnn"])
        if not self.folder:
            return replace(call, values=values)
        for name in ("cnn", "weights"):
            if name in values:
                values[name] = self._in_folder(values[name])
        return replace(call, values=values)

    def _in_folder(self, value: object) -> object:
        """Return a value, or each of a list, with the path of the file that is in the folder."""
        if isinstance(value, list | tuple):
            return [self._in_folder(one) for one in value]
        if not isinstance(value, str):
            return value
        path = Path(self.folder, value)
        return str(path) if path.suffix and path.is_file() else value

    def _at_home(self, call: Call, cnn: object) -> object:
        """Return what `cnn => …` says with the files of kept networks, `'model:NAME'`, in it."""
        if isinstance(cnn, list | tuple):
            return [self._at_home(call, one) for one in cnn]
        if not isinstance(cnn, str) or not cnn.lower().startswith(models.OWN):
            return cnn
        try:
            return str(models.network_of(self.home, cnn[len(models.OWN) :]))
        except UnknownNameError as error:
            raise error.at(call.place("cnn")) from None
        except ModelError as error:
            raise call.error("cnn", str(error)) from None

    def whole(self) -> Context:
        """Return the context of a call whose rows the host does not hand out: one SELECT."""
        return replace(self, capabilities=replace(self.capabilities, small_batches=False))

    def inside(self, function: str) -> Context:
        """Return the context of a text inside a call of `function`: its rows go to the call.

        A TRANSFER inside of TRANSFER's own arguments is one SELECT, for it is read there.
        """
        able = self.capabilities
        nests = function != "transfer" or not able.calls_in_sql
        small_batches = able.small_batches and nests
        able = replace(able, small_batches=small_batches, sink="rows")
        return replace(self, capabilities=able)

    def feeding(self, limit: Value, gate: str) -> Context:
        """Return the context of what feeds a training under a `memory_limit` for both."""
        limits = (*self.training_limits, limit)
        return replace(self, training_limits=limits, gate=gate or self.gate)
