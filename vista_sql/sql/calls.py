"""What a SQL function of ours is: its arguments, a call of it, and what an expansion may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from vista_sql import catalog
from vista_sql.errors import ArgumentError, Place, UnknownNameError
from vista_sql.kernels import Fact
from vista_sql.machine.calibration import Rates
from vista_sql.machine.resources import Capabilities, Resources
from vista_sql.settings import Value

PACKAGE = "vista_sql.functions"


@dataclass(frozen=True, slots=True)
class Argument:
    """One named argument of a SQL function; NULL and absent are the same and mean `default`."""

    name: str
    meaning: str
    default: Any = None
    required: bool = False
    kind: str = "value"  # 'value', or 'relation': the text of a table name or of a query


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the user wrote it: argument values as Python values, and where each stands.

    Values are None, bool, int, float, str, or lists of them; a relation is its text.
    """

    function: str
    values: Mapping[str, Any]
    places: Mapping[str, Place]

    def get(self, name: str) -> Any:
        """Return the value of an argument, or its default."""
        value = self.values.get(name)
        if value is not None:
            return value
        return next(a.default for a in load(self.function).arguments if a.name == name)

    def error(self, name: str, message: str) -> ArgumentError:
        """Return (not raise) an error about the argument `name`, at its place."""
        return ArgumentError(message, self.places.get(name) or self.places.get(""))

    def checked(self) -> Call:
        """Return the call itself if all its arguments are known and the required ones there.

        Raises:
            UnknownNameError: an argument that the function does not have.
            ArgumentError: a required argument is missing.
        """
        known = [argument.name for argument in load(self.function).arguments]
        for name in self.values:
            if name not in known:
                raise UnknownNameError(
                    "argument", name, known, self.places.get(name), where=self.function.upper()
                )
        for argument in load(self.function).arguments:
            if argument.required and self.values.get(argument.name) is None:
                raise self.error(
                    "",
                    f"{self.function.upper()} needs {argument.name} => …: {argument.meaning}",
                )
        return self


@dataclass(frozen=True, slots=True)
class Explained:
    """A planned SELECT: the facts of its plan, the text that runs it, the run it counts under."""

    facts: tuple[Fact, ...]
    text: str
    run: str  # of this part of the statement
    whole_run: str  # of the statement that holds it


class Planner(Protocol):
    """What an expansion may ask of the session."""

    @property
    def home(self) -> str:
        """The folder of models, runs and errors."""

    @property
    def folder(self) -> str:
        """What relative paths are relative to; "" is the process's working folder."""

    @property
    def capabilities(self) -> Capabilities:
        """What the host can do."""

    @property
    def rates(self) -> Rates:
        """What this machine does in a second."""

    def setting(self, name: str, call: Call) -> Value:
        """Return a setting's value: the call's argument, else the session's, else the default."""

    def resources(self, call: Call) -> Resources:
        """Return the cores and the memory that a call may use."""

    def training(self, call: Call) -> AbstractContextManager[None]:
        """Enclose the planning of what feeds a training: both stay under the call's limit."""

    def relation(self, text: str, call: Call, argument: str) -> str:
        """Return a relation's text as something that can stand after FROM, its own calls expanded.

        A name stays a (quoted) name, a query comes back in parentheses; comments and `;` are gone.
        """

    def columns(self, relation: str) -> Mapping[str, str] | None:
        """Return a relation's columns (name → DuckDB type); None where they cannot be seen now.

        Raises:
            QueryError: the relation is certainly not there, or cannot be bound.
        """

    def glimpse(self, relation: str) -> Mapping[str, str] | None:
        """Return what a relation's columns probably are, where `columns` cannot tell."""

    def explained(self, call: Call, argument: str, *, runs: bool) -> Explained:
        """Plan the SELECT that an argument holds.

        Args:
            call: the call that explains it.
            argument: the argument.
            runs: whether the text of the result will run as part of the statement.

        Raises:
            QueryError: it is no SELECT, or cannot be planned.
        """

    def fresh_name(self, role: str) -> str:
        """Return a new identifier (letters, digits, _) that no user's name equals."""

    def new_run(self, plan: str = "") -> str:
        """Return the id that the kernels of one execution count under; "" where nothing runs."""


@dataclass(frozen=True, slots=True)
class TableFunction:
    """A SQL table function: its arguments in positional order, and its expansion.

    `expand(call, planner)` returns one SELECT (text, DuckDB's dialect) with the call's rows.
    """

    name: str  # lower case, as in SQL: 'transfer', 'vista_train'
    arguments: tuple[Argument, ...]
    expand: Callable[[Call, Planner], str]
    meaning: str


def names() -> tuple[str, ...]:
    """Return the names of the functions, sorted."""
    return catalog.names(PACKAGE)


def load(name: str) -> TableFunction:
    """Return the function called `name`, any case."""
    return catalog.load(PACKAGE, name.lower(), "FUNCTION", TableFunction)
