"""Write docs/reference.md: functions, settings, errors, commands and Python names, from the code.

Usage: python scripts/build_reference.py
"""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import click
import msgspec

import vista_sql
from vista_sql import errors, roster, settings, train
from vista_sql.cli import app
from vista_sql.functions._iou import IOU
from vista_sql.planning import plans
from vista_sql.sql import calls
from vista_sql.sql.calls import Argument, TableFunction
from vista_sql.sql.quoting import literal

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"

COLUMNS = 92  # of a help text: as wide as a code host shows without scrolling

TABLES = """
SET VARIABLE vista_calibration = 'false';
CREATE TABLE images AS SELECT 1 AS id, '1.jpg' AS path;
FROM VISTA_WRITE_TFRECORD('images', 'f.tfrecord');
CREATE TABLE features AS SELECT 1 AS id, [1, 2]::FLOAT[2] AS fc6;
CREATE TABLE boxes AS
SELECT 1 AS id, 0.0::DOUBLE AS x, 0.0::DOUBLE AS y, 9.0::DOUBLE AS width, 9.0::DOUBLE AS height,
    0.5::DOUBLE AS score;
CREATE TABLE foods AS
SELECT range::INTEGER AS id, (range % 7)::DOUBLE AS price, range % 7 > 3 AS healthy FROM range(40);
SELECT * FROM VISTA_TRAIN(model => 'healthy', label => 'healthy', data => 'foods');
SELECT * FROM VISTA_TRAIN(model => 'seen', label => 'healthy', features => 'conv2',
  data => '(SELECT *, [price, 1]::FLOAT[2] AS conv2 FROM foods)');
"""

CALLS = {  # what is bound, and not run, to have a function's columns
    "transfer": "TRANSFER(cnn => 'lenet5', images => 'images', structured => 'foods')",
    "vista_compare": "VISTA_COMPARE(cnn => 'lenet5', images => 'images', structured => 'foods', "
    "label => 'healthy')",
    "vista_confusion": "VISTA_CONFUSION(model => 'healthy', data => 'foods')",
    "vista_duplicates": "VISTA_DUPLICATES(data => 'features')",
    "vista_evaluate": "VISTA_EVALUATE(model => 'healthy', data => 'foods')",
    "vista_explain": "VISTA_EXPLAIN('SELECT * FROM foods')",
    "vista_finetune": "VISTA_FINETUNE(model => 'tuned', label => 'healthy', layer => 'fc6', "
    "unfreeze => 'conv3', cnn => 'lenet5', images => 'images', structured => 'foods')",
    "vista_heatmap": "VISTA_HEATMAP(model => 'seen', images => 'images', cnn => 'lenet5')",
    "vista_image_issues": "VISTA_IMAGE_ISSUES('images')",
    "vista_layers": "VISTA_LAYERS('lenet5')",
    "vista_materialize": "VISTA_MATERIALIZE(cnn => 'lenet5', layer => 'conv3', store => true)",
    "vista_model_sql": "VISTA_MODEL_SQL('healthy')",
    "vista_neighbors": "VISTA_NEIGHBORS(data => 'features')",
    "vista_nms": "VISTA_NMS('boxes')",
    "vista_optimize": "VISTA_OPTIMIZE(cnn => 'resnet50', n_rows => 20129)",
    "vista_outliers": "VISTA_OUTLIERS(data => 'features')",
    "vista_predict": "VISTA_PREDICT(model => 'healthy', data => 'foods')",
    "vista_prepare": "VISTA_PREPARE('lenet5', 'images')",
    "vista_rank_sources": "VISTA_RANK_SOURCES(cnn => 'lenet5', images => 'images', "
    "structured => 'foods', label => 'healthy', trained => true)",
    "vista_read_tfrecord": "VISTA_READ_TFRECORD('f.tfrecord')",
    "vista_train": "VISTA_TRAIN(model => 'healthy', label => 'healthy', data => 'foods')",
    "vista_write_tfrecord": "VISTA_WRITE_TFRECORD('images', 'f.tfrecord')",
}

INNER = ("Session.expand", "Session.home", "Session.settings")
"""What parts of the package call of the public classes, and users do not."""

INTRODUCTION = """# Reference

Written by `scripts/build_reference.py` from the code; do not edit. In examples `images` has the
columns `id` and `path`, `foods` has `id`, `price` and `healthy`, `features` `id` and `fc6`.

- [SQL functions](#sql-functions)
- [CNNs](#cnns), [plans](#plans), [trainers](#trainers)
- [Settings](#settings)
- [Python](#python)
- [Errors](#errors)
- [Command line](#command-line)
"""


def reference_text() -> str:
    """Return the page."""
    parts = (
        sql_functions,
        cnns,
        kinds_of_plan,
        trainers,
        all_settings,
        python,
        error_tree,
        commands,
    )
    return INTRODUCTION + "".join(f"\n{part().rstrip()}\n" for part in parts)


def table(*rows: tuple[str, ...]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def sql_functions() -> str:
    """Return the section on SQL functions: arguments, and the columns that a call is bound to."""
    parts = [
        "## SQL functions\n\n`name => value` and `name := value` are the same; arguments may also "
        "stand in the order shown. NULL means the default.\n"
    ]
    with tempfile.TemporaryDirectory() as folder, chdir(folder), vista_sql.connect() as db:
        db.query(TABLES).arrow()
        for name in sorted({*calls.names(), IOU.name}):
            if name == IOU.name:
                shown = ", ".join(f"{parameter} STRUCT" for parameter in IOU.parameters)
                parts.append(
                    f"### {name.upper()}\n\n{_sentence(IOU.meaning)}\n\n"
                    f"A value, not a table: `{name.upper()}({shown}) → DOUBLE`\n"
                )
                continue
            function = calls.load(name)
            call = CALLS.get(name, f"{name.upper()}()")
            bound = db.query(f"SELECT * FROM {call}")
            columns = zip(bound.columns, bound.types, strict=True)
            shown = ", ".join(f"`{column} {kind}`" for column, kind in columns)
            parts.append(f"### {name.upper()}\n\n{_sentence(function.meaning)}\n")
            if function.arguments:
                rows = list(_arguments(function))
                parts.append(table(("argument", "type", "default", "meaning"), *rows))
            parts.append(f"Columns of `{call}`: {shown}\n")
    return "\n".join(parts)


def _arguments(function: TableFunction) -> Iterator[tuple[str, str, str, str]]:
    """Yield a row for each argument, and one for those of TRANSFER that stand for `data`."""
    names = [argument.name for argument in function.arguments]
    own = names.index("images") if {"data", "images"} <= {*names} else len(names)
    for a in function.arguments[:own]:
        yield f"`{a.name}`", a.kind.words, _default(a), a.meaning
    if instead := ", ".join(f"`{name}`" for name in names[own:]):
        meaning = "in place of `data`: a TRANSFER of its own"
        if "model" in names and "label" not in names:
            meaning += ", of which the model remembers how features are made"
        yield instead, "as in [TRANSFER](#transfer)", "", meaning


def _default(argument: Argument) -> str:
    if argument.required:
        return "required"
    return "" if argument.default is None else f"`{literal(argument.default)}`"


def cnns() -> str:
    """Return the section on the roster."""
    rows = []
    for name in roster.names():
        cnn = roster.load(name)
        features = ", ".join(f"`{layer}`" for layer in cnn.feature_layers)
        size = " × ".join(map(str, cnn.input_shape))
        weights = f"`'{cnn.default_weights}'`" if cnn.default_weights in cnn.weights else "a file"
        rows.append((f"`{name}`", size, f"{cnn.parameters:,}", weights, features))
    head = ("cnn", "input", "parameters", "weights", "layers, where none are named")
    return (
        "## CNNs\n\n`VISTA_CNNS()` says which weights are here, `VISTA_LAYERS(cnn)` has every "
        "layer. `cnn` may also be `'hog'` or the path of a `.keras` or `.onnx` file.\n\n"
        + table(head, *rows)
    )


def kinds_of_plan() -> str:
    """Return the section on plans."""
    rows = [(f"`{name}`", plans.load(name).meaning) for name in plans.names()]
    return (
        "## Plans\n\nThe optimizer prices each; `plan => …` restricts it to one, `placement => "
        "…` to inference before or after the join.\n\n" + table(("plan", "meaning"), *rows)
    )


def trainers() -> str:
    """Return the section on trainers."""
    rows = [(f"`{name}`", train.load(name).meaning) for name in train.names()]
    return "## Trainers\n\n" + table(("trainer", "meaning"), *rows)


def all_settings() -> str:
    """Return the section on settings."""
    rows = [
        (
            f"`vista_{setting.name}`",
            f"`VISTA_SQL_{setting.name.upper()}`",
            setting.values,
            "" if setting.default is None else f"`{literal(setting.default)}`",
            setting.meaning,
        )
        for setting in settings.SETTINGS
    ]
    return (
        "## Settings\n\nThe argument of a statement, where the function has it, comes before "
        "`SET VARIABLE vista_… = …`, that before the environment, that before the default. Where "
        "there is none, it is decided by the statement and the machine; `explain` shows how.\n\n"
        + table(("variable", "environment", "type", "default", "meaning"), *rows)
    )


def python() -> str:
    """Return the section on the public names of the package."""
    parts = ["## Python\n\nThe names of `vista_sql`; each docstring has the details.\n"]
    for name in sorted(vista_sql.__all__, key=str.lower):
        thing = getattr(vista_sql, name)
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            parts.append(f"### {name}\n\n{_first(thing)}\n")
            if issubclass(thing, msgspec.Struct):
                fields = ", ".join(f"`{name}`" for name in thing.__struct_fields__)
                parts.append(f"Fields: {fields}\n")
            members = list(_members(thing))
            if members:
                parts.append(table(("member", "meaning"), *members))
        elif inspect.isfunction(thing):
            parts.append(f"### {name}\n\n`{name}{_signature(thing)}`\n\n{_first(thing)}\n")
    return "\n".join(parts)


def _members(kind: type) -> Iterator[tuple[str, str]]:
    for name, member in vars(kind).items():
        if name.startswith("_") or f"{kind.__name__}.{name}" in INNER:
            continue
        if isinstance(member, property):
            yield f"`{name}`", _first(member.fget)
        elif inspect.isfunction(member):
            yield f"`{name}{_signature(member)}`", _first(member)


def _signature(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    shown = [
        parameter.replace(
            annotation=parameter.empty,
            default=parameter.empty if parameter.default is parameter.empty else _Shown(parameter),
        )
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    return str(signature.replace(parameters=shown, return_annotation=signature.empty))


class _Shown:
    """A parameter's default as it is printed."""

    def __init__(self, parameter: inspect.Parameter) -> None:
        self._default = parameter.default

    def __repr__(self) -> str:
        return "…" if callable(self._default) else repr(self._default)


def error_tree() -> str:
    """Return the section on errors."""

    def lines(kind: type, depth: int) -> Iterator[str]:
        yield f"{'  ' * depth}- `{kind.__name__}`: {_first(kind)}\n"
        for below in kind.__subclasses__():
            if below.__module__ == errors.__name__:
                yield from lines(below, depth + 1)

    return (
        "## Errors\n\nIn `vista_sql.errors`. Each is one sentence: what is wrong, where, what was "
        "found, what to do. DuckDB's own errors stay `duckdb.Error`.\n\n"
        + "".join(lines(errors.VistaError, 0))
    )


def commands() -> str:
    """Return the section on the command line: the help of every command."""
    parts = ["## Command line\n"]
    group = click.Context(app, info_name="vista", terminal_width=COLUMNS, **app.context_settings)
    parts.append(f"```text\n{_plain(app.get_help(group))}\n```\n")
    for name in app.list_commands(group):
        command = app.get_command(group, name)
        context = click.Context(
            command, group, name, terminal_width=COLUMNS, **command.context_settings
        )
        parts.append(f"### vista {name}\n\n```text\n{_plain(command.get_help(context))}\n```\n")
    return "\n".join(parts)


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _first(thing: object) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return re.sub(r"\s+", " ", (inspect.getdoc(thing) or "").partition("\n\n")[0]).strip()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def main() -> None:
    """Write the page."""
    PAGE.write_text(reference_text(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
