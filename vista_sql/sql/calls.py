"""What a SQL function of ours is: its arguments, a call of it, and what an expansion may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from vista_sql import catalog
from vista_sql.errors import ArgumentError, Place, QueryError, UnknownNameError, VistaError
from vista_sql.kernels import Engine, Fact, InferSpec
from vista_sql.settings import Value
from vista_sql.sql import folders
from vista_sql.sql.dialect import Dialect
from vista_sql.sql.kinds import Kind, RelationText

PACKAGE = "vista_sql.functions"

E = TypeVar("E", bound=VistaError)


class Argument(Struct, frozen=True):
    """One named argument of a SQL function; NULL and absent are the same and mean `default`."""

    name: str
    meaning: str
    kind: Kind
    default: object = None  # as it would be written
    required: bool = False

    def read(self, value: object) -> object:
        """Return what a written value means, None where it is NULL and there is no default.

        Raises:
            ArgumentError, UnknownNameError: it is none of the argument's kind.
        """
        written = self.default if value is None else value
        return None if written is None else self.kind.read(self.name, written)


class Call(Struct, frozen=True):
    """A call as the user wrote it: argument values as Python values, and where each stands.

    Values are None, bool, int, float, str, or lists or mappings of them; a relation is its text.
    Places are by argument; the call's own is that of "". A TRANSFER that another call makes can be
    of several CNNs: those `beside` the argument `cnn`. Layers are then `<Cnn.short_name>.<layer>`.
    """

    function: str
    values: Mapping[str, object]
    places: Mapping[str, Place]
    beside: tuple[str, ...] = ()

    def get(self, name: str) -> Any:
        """Return the value of an argument, of the Python type that its kind reads.

        Raises:
            ArgumentError, UnknownNameError: it is none of the argument's kind; at its place.
        """
        return self._read(load(self.function).argument(name))

    def _read(self, argument: Argument) -> object:
        try:
            return argument.read(self.values.get(argument.name))
        except QueryError as error:
            if self.values.get(argument.name) is False and not self.places:
                # on a macro: what `name = 'x'`, which compares two texts, has become
                name = argument.name
                hint = f"{name} = … is a comparison in DuckDB, write {name} => …"
                raise ArgumentError(f"{error.message}; {hint}") from None
            raise error.at(self.place(argument.name)) from None

    def place(self, argument: str = "") -> Place | None:
        """Return where an argument stands, else where the call does; None: not known."""
        return self.places.get(argument) or self.places.get("")

    def error(self, name: str, message: str) -> ArgumentError:
        """Return (not raise) an error about the argument `name`, at its place."""
        return ArgumentError(message, self.place(name))

    def located(self, error: E) -> E:
        """Return an error about the call with the place of the argument that it is about."""
        return error.at(self.place(error.argument if isinstance(error, UnknownNameError) else ""))

    def checked(self) -> Call:
        """Return the call if all of it can be: it is read once, before it is expanded.

        Where the images of a TRANSFER are a folder or a glob, the image and the key that these
        imply are in it.

        Raises:
            UnknownNameError: an argument that the function does not have.
            ArgumentError: a required argument is missing, or a value is none of its kind.
        """
        function = load(self.function)
        arguments = function.arguments
        known = [argument.name for argument in arguments]
        for name in self.values:
            if name not in known:
                raise UnknownNameError(
                    "argument", name, known, self.places.get(name), where=self.function.upper()
                )
        for argument in arguments:
            if argument.required and self.values.get(argument.name) is None:
                raise self.error(
                    "",
                    f"{self.function.upper()} needs {argument.name} => …: {argument.meaning}",
                )
        call = self
        if function.expand is None:  # a function that transfers has a TRANSFER of its own
            call = replace(self, values=folders.with_defaults(self.values))
        for argument in arguments:
            call._read(argument)
        return call


class Explained(Struct, frozen=True):
    """A planned SELECT: the facts of its plan, the text that runs it, the run it counts under."""

    facts: tuple[Fact, ...]
    text: str
    run: str  # of this part of the statement
    whole_run: str  # of the statement that holds it


class ImageReading(Struct, frozen=True):
    """What a TRANSFER call reads, and what it asks of the kernels that do."""

    relation: str  # the image relation, as text after FROM
    key: str
    image: str | None  # None: the kernel finds the column in the whole row
    layers: tuple[str, ...]  # the network's own names
    spec: InferSpec  # without layers


class ImageRows(Struct, frozen=True):
    """The rows of a TRANSFER call before inference, and what it asks of the kernels."""

    relation: str  # the structured columns, `key_text` and `image`, as text after FROM
    columns: Mapping[str, str] | None  # the structured ones with their types; None: not known
    key: str  # the one of them that identifies a row
    key_text: str  # the column that names a row in errors
    image: str  # the column of the image
    spec: InferSpec  # of all layers


class Planner(Protocol):
    """What the expansion of a call may ask: settings, names, and plans of the texts inside."""

    @property
    def home(self) -> str:
        """The folder of models, runs and errors."""

    def setting(self, name: str, call: Call) -> Value:
        """Return a setting's value: the call's argument, else the session's, else the default."""

    def resolved(self, call: Call) -> Call:
        """Return a call found in a text with the values of `getvariable('x')` in its arguments.

        Raises:
            ArgumentError: a value cannot be known.
        """

    def feeding(self, call: Call, gate: str = "") -> Planner:
        """Return the planner of what feeds a training: both stay under the call's memory limit.

        Args:
            call: of the training; has the argument `memory_limit`.
            gate: where the training may say that it has seen enough; "": it never does.
        """

    def relation(self, text: str, call: Call, argument: str) -> str:
        """Return a relation's text as something that can stand after FROM, its own calls expanded.

        A name stays a (quoted) name, a query comes back in parentheses; comments and `;` are gone.
        """

    def columns(self, relation: str) -> Mapping[str, str] | None:
        """Return the columns of what stands after FROM, name → type; None: they cannot be seen."""

    def transferred(self, call: Call, function: str, *, features: bool) -> str:
        """Return the rows of a TRANSFER as text that can stand after FROM.

        Args:
            call: the TRANSFER, with its arguments' places in the call that makes it.
            function: whose call makes it.
            features: with what TRANSFER adds; else the columns of its relations alone, and no
                image is read for them.

        Raises:
            QueryError: an argument is wrong, or names something that is not there.
        """

    def reading(self, call: Call) -> ImageReading:
        """Return what a TRANSFER call reads, and what it asks of the kernels.

        Raises:
            QueryError: an argument is wrong, or names something that is not there.
        """

    def asked(self, call: Call) -> InferSpec:
        """Return what a TRANSFER call asks of the kernels, without layers; nothing is read for it.

        Raises:
            QueryError: an argument is wrong, or names something that is not there.
        """

    def image_rows(self, call: Call, function: str) -> ImageRows:
        """Return the rows of a TRANSFER call as they are before inference.

        Args:
            call: the TRANSFER, with its arguments' places in the call that makes it.
            function: whose call makes it.

        Raises:
            QueryError: an argument is wrong, or names something that is not there.
        """

    def explained(self, call: Call, argument: str, *, runs: bool) -> Explained:
        """Return the plan of the SELECT that an argument holds, as facts, and its text.

        Args:
            call: the call that explains it.
            argument: the argument.
            runs: whether the text of the result will run as part of the statement.

        Raises:
            QueryError: it is no SELECT, or cannot be planned.
        """

    def engine(self, call: Call) -> Engine:
        """Return who runs the networks of a TRANSFER call."""

    def can_run(self, engine: Engine) -> bool:
        """Return whether an engine is installed."""

    def fresh_name(self, role: str) -> str:
        """Return a new identifier (letters, digits, _) that no user's name equals."""

    def new_run(self) -> str:
        """Return the id that the kernels of one execution count under; "" where nothing runs."""

    @property
    def dialect(self) -> Dialect:
        """The dialect of the texts."""

    @property
    def calls_in_sql(self) -> bool:
        """Whether an expansion may call kernels; else it asks for `fed` and `scored` relations."""

    def kept(self, call: Call, table: str) -> str:
        """Return a SELECT that keeps the raw maps of a TRANSFER's layer in a table, and says so.

        Args:
            call: the TRANSFER of one layer, with its arguments' places in the call that makes it.
            table: that is written, as the user named it.

        Raises:
            QueryError: an argument is wrong, or the table is there.
        """

    def fed(self, kind: str, order: str, relation: str, columns: str) -> str:
        """Return a SELECT of what a run of a kind returns that is fed a relation's rows.

        Args:
            kind: a file of `udfs/fed/`.
            order: as `fed_runs.order_of` writes it.
            relation: the rows, as text that can stand after FROM.
            columns: of the run's result, as DuckDB's select list.
        """

    def scored(self, order: str, relation: str, label_type: str) -> str:
        """Return a SELECT of a relation's rows with what `vista_score` says of each.

        Args:
            order: of the kernel.
            relation: the rows, as text that can stand after FROM.
            label_type: DuckDB's name of the predictions' type.
        """

    def fenced(self, relation: str) -> str:
        """Return a relation to be joined whose own filters stay where they are."""


class TableFunction(Struct, frozen=True):
    """A SQL table function: its arguments in positional order, and its expansion.

    `expand(call, planner)` returns one SELECT with the call's rows, as text of DuckDB's dialect,
    unless it reads what the planner says is in another; None is TRANSFER's, which is planned with
    the whole statement.
    """

    name: str  # lower case, as in SQL: 'transfer', 'vista_train'
    arguments: tuple[Argument, ...]
    expand: Callable[[Call, Planner], str] | None
    meaning: str

    def argument(self, name: str) -> Argument:
        """Return the argument called `name`."""
        return next(argument for argument in self.arguments if argument.name == name)

    def takes_relation(self, name: str) -> bool:
        """Return whether there is an argument called `name` that is a relation's text."""
        kinds = (argument.kind for argument in self.arguments if argument.name == name)
        return isinstance(next(kinds, None), RelationText)


def names() -> tuple[str, ...]:
    """Return the names of the functions, sorted."""
    return catalog.names(PACKAGE)


@cache  # asked for with every argument that is read
def load(name: str) -> TableFunction:
    """Return the function called `name`, any case."""
    return catalog.load(PACKAGE, name.lower(), "FUNCTION", TableFunction)
