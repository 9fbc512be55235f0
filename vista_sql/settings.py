"""What can be configured, and which source of a value wins.

An argument in the statement, then `SET VARIABLE vista_<name>`, then `VISTA_SQL_<NAME>`, then the
default. `None` as a default means that the optimizer decides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vista_sql.errors import SettingError
from vista_sql.units import parse_bytes


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be configured."""

    name: str
    meaning: str
    default: Any
    read: Callable[[str], Any]


def _name(text: str) -> str:
    return text.strip()


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("it must be a whole number") from None


def _positive(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise ValueError("it must be at least 1")
    return value


def _flag_or_path(text: str) -> bool | str:
    flags = {"true": True, "on": True, "false": False, "off": False}
    return flags.get(text.strip().lower(), text.strip())


def _one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.strip().lower() not in values:
            raise ValueError(f"it must be one of {', '.join(values)}")
        return text.strip().lower()

    return read


SETTINGS = (
    Setting("plan", "the plan to use", None, lambda text: _name(text).lower()),
    Setting(
        "placement", "inference 'before' or 'after' the join", None, _one_of("before", "after")
    ),
    Setting("batch_rows", "most rows in one micro-batch", None, _positive),
    Setting("threads", "threads of inference and decoding", None, _positive),
    Setting("memory_limit", "most memory to use, like '4GB'", None, parse_bytes),
    Setting(
        "device", "where inference runs: auto, cpu or gpu", "auto", _one_of("auto", "cpu", "gpu")
    ),
    Setting("seed", "seed of weights => 'random'", 0, _whole),
    Setting("home", "folder of models, runs and errors", None, _name),
    Setting(
        "store",
        "the feature store: true (the user's own), false or a folder",
        True,
        _flag_or_path,
    ),
    Setting("store_limit", "most bytes of the feature store, like '20GB'", None, parse_bytes),
    Setting(
        "calibration",
        "seconds measured on this machine: true, false (defaults stand), or their file",
        True,
        _flag_or_path,
    ),
)


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it came from."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a session: what `SET VARIABLE vista_…` says, over the environment."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def value(self, name: str, argument: Any = None) -> Value:
        """Return the value of a setting that wins; `argument` is the statement's own, if any.

        Raises:
            SettingError: the value that wins cannot be read; names the setting and the source.
        """
        setting = next(setting for setting in SETTINGS if setting.name == name)
        variable, environment = f"vista_{name}", f"VISTA_SQL_{name.upper()}"
        for source, value in (
            (f"{name} => …", argument),
            (f"SET VARIABLE {variable}", self.variables.get(variable)),
            (environment, self.environment.get(environment)),
        ):
            if value is not None and value != "":
                try:
                    return Value(name, setting.read(str(value)), source)
                except ValueError as error:
                    raise SettingError(
                        f"{name} is {value!r} (from {source}), which cannot be: {error}"
                    ) from None
        return Value(name, setting.default, "default")
