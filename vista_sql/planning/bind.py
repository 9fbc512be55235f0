"""A TRANSFER call → its workload: values, relations, store and settings resolved.

What is read of the arguments themselves stands in `workload`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from msgspec.structs import replace

from vista_sql import roster, store
from vista_sql.errors import QueryError, SettingError, UnknownNameError
from vista_sql.planning import base_tables, boxes, engines, keys, workload
from vista_sql.planning.context import Context
from vista_sql.planning.database import Database, Naming
from vista_sql.planning.engines import AUTO, EngineChoice, Engines
from vista_sql.planning.workload import Relation, Workload
from vista_sql.roster import Cnn
from vista_sql.settings import Value
from vista_sql.sql import folders, parse
from vista_sql.sql.calls import Call
from vista_sql.sql.dialect import Dialect
from vista_sql.sql.parse import Statement, Unresolved
from vista_sql.sql.quoting import text_literal, written
from vista_sql.store import Choice


class Nested(Protocol):
    """What binding needs of the planner: calls inside of relations are planned first."""

    @property
    def context(self) -> Context:
        """What is planned with."""

    @property
    def database(self) -> Naming:
        """What is asked."""

    @property
    def seen(self) -> Naming:
        """The same with what the relations that were read stand upon."""

    def subquery(self, text: str, call: Call, argument: str) -> Relation:
        """Return a relation's text cleaned, with its own calls expanded; its columns are unread."""


class HasSettings(Protocol):
    """What knows the settings of a session."""

    def setting(self, name: str, call: Call) -> Value:
        """Return the value of a setting that wins for a call."""


class KnowsEngines(HasSettings, Protocol):
    """What knows the settings of a session, and who can run networks."""

    @property
    def engines(self) -> Engines:
        """What is here."""


def workload_of(call: Call, nested: Nested) -> Workload:
    """Return the workload of a TRANSFER call; it needs everything, and its facts are unknown.

    Raises:
        QueryError: an argument is wrong, or names something that is not there.
    """
    context, database = nested.context, nested.database
    call = call.checked()
    base_tables.refuse(call, context)
    cnn = workload.load_cnn(call)
    images = _relation(call, "images", nested)
    structured = None
    if call.get("structured") is not None:
        structured = _relation(call, "structured", nested)
    box_column = ""
    if call.get("boxes") is not None:
        box_column = context.names.fresh("box")
        structured = boxes.beside(
            call,
            structured,
            _relation(call, "boxes", nested),
            box_column,
            context.capabilities.dialect,
        )
    glimpsed = None
    if images.columns is None and (structured is None or call.get("image") is not None):
        glimpsed = database.glimpse(images.text)  # some columns are to be left out by their names
    bound = workload.bind(
        call,
        cnn,
        images,
        structured,
        glimpsed,
        seed=context.setting("seed", call).value,
        device=context.setting("device", call).value,
        engine=engine_of(call, context, cnn),
        store=store_of(call, context),
        schemes=context.setting("schemes", call).value or "",
        box_column=box_column,
    )
    bound = keys.checked(call, bound, database, context.capabilities.dialect)
    if call.get("base") is None:
        return bound
    relation = _relation(call, "base", nested)
    return replace(bound, base=base_tables.found(call, bound, relation, nested.seen, context))


def resolved(call: Call, database: Database) -> Call:
    """Return a call with the values of `getvariable('x')` and parameters in its arguments.

    Raises:
        ArgumentError: a value cannot be known, or an argument does not exist or is missing.
    """
    values = dict(call.values)
    for name, value in values.items():
        if not isinstance(value, Unresolved):
            continue
        if parse.parameters(value.sql) is None:
            raise call.error(name, f"{name} => ?: number the statement's parameters, $1, $2 …")
        try:
            values[name] = database.value(value.sql)
        except QueryError as error:
            raise call.error(name, f"{name}: {error.message}") from None
    return replace(call, values=values).checked()


def select_of(call: Call, argument: str, dialect: Dialect) -> Statement:
    """Return the one SELECT that an argument holds.

    Raises:
        ArgumentError: it holds something else, or what cannot be read.
    """
    text: str = call.get(argument)
    statements = parse.parse(text, dialect)
    if len(statements) != 1:
        raise call.error(
            argument, f"{argument} must be one SELECT, not {len(statements)} statements"
        )
    (statement,) = statements
    if statement.kind != "select":
        raise call.error(
            argument,
            f"{argument} must be a SELECT; db.explain() and `vista explain` take any statement",
        )
    if statement.tree is None:
        try:
            parse.clean_relation(text, dialect)
        except QueryError as error:
            raise call.error(argument, f"{argument}: {error.message}") from None
    return statement


@contextmanager
def located(call: Call) -> Iterator[None]:
    """Give errors that know no place the place of the call, or of its argument, they are about."""
    try:
        yield
    except QueryError as error:
        raise call.located(error) from error.__cause__


def _relation(call: Call, argument: str, nested: Nested) -> Relation:
    """Return the relation that an argument names, with its columns where they can be seen."""
    try:
        relation = nested.subquery(call.get(argument), call, argument)
        is_folder = folders.is_folder(call.get(argument))
        described = folders.NO_FILES if is_folder else relation.text  # DuckDB lists files to tell
        return replace(relation, columns=columns_of(described, nested.seen))
    except QueryError as error:
        error = _about_images(error, call, argument, nested.database) or error
        raise error.at(call.place(argument)) from error.__cause__


def _about_images(
    error: QueryError, call: Call, argument: str, database: Naming
) -> QueryError | None:
    """Return the error about images that are in no table, where a folder or nothing was given."""
    if argument != "images":
        return None
    given = call.values.get(argument)
    folder = folders.without_slash(given)
    if folder and given not in database.tables():
        return QueryError(
            f"there is no table {given!r}, but a folder: a folder's name ends in '/', "
            f"images => {text_literal(folder)}"
        )
    if given is None and isinstance(error, UnknownNameError):
        return QueryError(
            f"{call.function.upper()} needs images => …, a folder ('photos/') or a table with the "
            f"images: there is no table {call.get(argument)!r}, which is the default"
        )
    return None


def columns_of(relation: str, database: Database) -> dict[str, str] | None:
    """Return a relation's columns (name → type); None where they cannot be seen.

    Raises:
        UnknownNameError: there is no such table.
        QueryError: the query does not bind; in the database's words.
    """
    try:
        columns = database.columns(f"SELECT * FROM {relation}")
    except QueryError as error:
        if not relation.startswith("(") and "does not exist" in error.message:
            known = map(written, database.tables())
            raise UnknownNameError("table", relation.strip('"`'), known) from None
        raise
    return None if columns is None else dict(columns)


def engine_of(call: Call, context: KnowsEngines, cnn: Cnn) -> EngineChoice:
    """Return who runs a network of a call: its own argument's, else the session's choice.

    Raises:
        ArgumentError, PlanError: who is asked for cannot run it.
    """
    dtype, device = call.get("dtype") or "float32", context.setting("device", call).value
    asked, known = context.setting("engine", call), context.engines
    cnns = (cnn, *workload.load_beside(call))
    only_tensorflow = next((one for one in cnns if one.only_tensorflow is not None), None)
    onnx_file = next((one for one in cnns if roster.kind_of_file(one.name) == "onnx"), None)
    if onnx_file is not None and only_tensorflow is not None:
        raise call.error(
            "cnn",
            f"{onnx_file.name} is run by OpenVINO alone, and {only_tensorflow.name} by TensorFlow: "
            "name them in statements of their own",
        )
    if onnx_file is not None:
        if asked.value not in (AUTO, "openvino"):
            raise call.error(
                "engine",
                f"engine {asked.value!r} (from {asked.source}) does not run .onnx files: take "
                "engine => 'openvino'",
            )
        if asked.value == AUTO:
            return EngineChoice("openvino", "it runs .onnx files")
    reason = None if only_tensorflow is None else only_tensorflow.only_tensorflow
    return engines.choose(asked, known, dtype, str(device), reason)


def store_of(call: Call, context: HasSettings) -> Choice:
    """Return the feature store of a call: its own argument's, else the session's.

    Raises:
        ArgumentError: the argument is none, or a folder that cannot be.
    """
    try:
        return store.chosen(
            context.setting("store", call).value, context.setting("store_limit", call).value
        )
    except SettingError as error:
        raise call.error("store", str(error)) from None
