"""What can be configured, and which source of a value wins.

An argument in the statement, then `SET VARIABLE vista_<name>`, then `VISTA_SQL_<NAME>`, then the
default. `None` as a default means that the optimizer decides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args

from msgspec import Struct, field

from vista_sql.errors import SettingError
from vista_sql.kernels import Device, Engine
from vista_sql.units import parse_bytes

Placement = Literal["before", "after"]
"""Where inference stands: before the join or after it."""

Join = Literal["broadcast", "shuffle"]
"""How a cluster joins: the structured rows are sent everywhere, or both sides by their keys."""

Persistence = Literal["none", "deserialized", "serialized", "disk"]
"""How a cluster keeps the rows of a call: not at all, in memory as values or as bytes, on disk."""


class Value(Struct, frozen=True):
    """A setting's value and where it came from."""

    name: str
    value: Any
    source: str


class Setting(Struct, frozen=True):
    """One thing that can be configured."""

    name: str
    values: str  # what it can be, in a user's words
    meaning: str
    default: Any
    read: Callable[[str], Any]  # from text; ValueError where it cannot be
    restricts: bool = False  # all sources hold beside each other, with semicolons between

    def value(self, given: object, source: str = "") -> Value:
        """Return a given value as the setting reads it.

        Args:
            given: the value.
            source: what says so; "": the argument of that name.

        Raises:
            SettingError: it cannot be; names the setting and the source.
        """
        try:
            return Value(self.name, self.read(str(given)), source or f"{self.name} => …")
        except ValueError as error:
            said = f" (from {source})" if source else ""
            why = f": {error}" if error.args else ""
            raise SettingError(
                f"{self.name} must be {self.values}, not {shown(given)}{said}{why}"
            ) from None


def alternatives(values: Sequence[str]) -> str:
    """Return a few words as a choice between them.

    Example:
        >>> alternatives(("auto", "cpu", "gpu"))
        "'auto', 'cpu' or 'gpu'"
    """
    *first, last = map(repr, values)
    return f"{', '.join(first)} or {last}" if first else last


SHOWN_LETTERS = 200  # of a value in a message


def shown(value: object) -> str:
    """Return a value as a message has it: NULL and BOOLEAN as in SQL, of long texts the beginning.

    Example:
        >>> shown("it"), shown([True, None]), len(shown("x" * 1000))
        ("'it'", '[true, NULL]', 201)
    """
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(shown, value[:SHOWN_LETTERS]))}]"
    elif value is None:
        text = "NULL"
    else:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}…"


NAME_BYTES = 255  # of a file or folder: what every usual file system takes


def _name(text: str) -> str:
    return text.strip()


def _path(text: str) -> str:
    if "\0" in text:
        raise ValueError("a path has no NUL character")
    if any(len(part.encode(errors="replace")) > NAME_BYTES for part in text.split("/")):
        raise ValueError(f"a file's name has at most {NAME_BYTES} bytes")
    return text.strip()


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError from None  # what it must be, the setting says


def _positive(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise ValueError
    return value


def _size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError:
        raise ValueError from None


def _flag_or_path(text: str) -> bool | str:
    flags = {"true": True, "on": True, "false": False, "off": False}
    flag = flags.get(text.strip().lower())
    return _path(text) if flag is None else flag


def _one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        value = text.strip().lower()
        if value not in values:
            close = get_close_matches(value, values, 1)
            raise ValueError(*(f"did you mean {name!r}?" for name in close))
        return value

    return read


COUNT = "a whole number of at least 1"
DEVICES: tuple[str, ...] = get_args(Device)
ENGINES: tuple[str, ...] = ("auto", *get_args(Engine))
PLACEMENTS: tuple[str, ...] = get_args(Placement)
JOINS: tuple[str, ...] = get_args(Join)
PERSISTENCES: tuple[str, ...] = get_args(Persistence)

SETTINGS = (
    Setting("plan", "text", "the plan to use", None, lambda text: _name(text).lower()),
    Setting(
        "placement",
        alternatives(PLACEMENTS),
        "inference before or after the join",
        None,
        _one_of(*PLACEMENTS),
    ),
    Setting("join", alternatives(JOINS), "how a cluster joins", None, _one_of(*JOINS)),
    Setting(
        "pers",
        alternatives(PERSISTENCES),
        "how a cluster keeps a call's rows",
        None,
        _one_of(*PERSISTENCES),
    ),
    Setting("np", COUNT, "partitions of a cluster", None, _positive),
    Setting("cpu", COUNT, "tasks at once in an executor of a cluster", None, _positive),
    Setting("batch_rows", COUNT, "most rows in one micro-batch", None, _positive),
    Setting("threads", COUNT, "threads of inference and decoding", None, _positive),
    Setting("memory_limit", "a size, like '4GB'", "most memory to use", None, _size),
    Setting("device", alternatives(DEVICES), "where inference runs", "auto", _one_of(*DEVICES)),
    Setting("engine", alternatives(ENGINES), "who runs the network", "auto", _one_of(*ENGINES)),
    Setting("seed", "a whole number", "seed of weights => 'random'", 0, _whole),
    Setting("home", "a folder", "where models, runs and errors are", None, _path),
    Setting(
        "store",
        "true, false or a folder",
        "the feature store; true: the user's own",
        True,
        _flag_or_path,
    ),
    Setting("store_limit", "a size, like '20GB'", "most bytes of the feature store", None, _size),
    Setting(
        "schemes",
        "names, like 'file,https'",
        "URIs that may be read, `file` for paths; VISTA_SQL_SCHEMES holds beside a variable",
        None,
        lambda text: _name(text).lower(),
        restricts=True,
    ),
    Setting(
        "calibration",
        "true, false or a file",
        "seconds measured on this machine; false: defaults stand",
        True,
        _flag_or_path,
    ),
)


def setting(name: str) -> Setting:
    """Return the setting called `name`."""
    return next(setting for setting in SETTINGS if setting.name == name)


class Settings(Struct, frozen=True):
    """The settings of a session: what `SET VARIABLE vista_…` says, over the environment."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def value(self, name: str, argument: Any = None) -> Value:
        """Return the value of a setting that wins; `argument` is the statement's own, if any.

        Raises:
            SettingError: the value that wins cannot be read; names the setting and the source.
        """
        variable, environment = f"vista_{name}", f"VISTA_SQL_{name.upper()}"
        given = [
            (value, source)
            for source, value in (
                ("", argument),
                (f"SET VARIABLE {variable}", self.variables.get(variable)),
                (environment, self.environment.get(environment)),
            )
            if value is not None and value != ""
        ]
        found = setting(name)
        if not given:
            return Value(name, found.default, "default")
        first = found.value(*given[0])
        if not found.restricts:
            return first
        values = [found.value(value, source).value for value, source in given]
        return Value(name, ";".join(dict.fromkeys(values)), first.source)
