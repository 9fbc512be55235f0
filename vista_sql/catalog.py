"""A package → the names of its entries; a name → its entry. An open set is a folder of files."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from vista_sql.errors import UnknownNameError

T = TypeVar("T")


@cache
def names(package: str) -> tuple[str, ...]:
    """Return the names of the entries of `package`, sorted, without importing them.

    Files, or folders where the package says so: `ENTRIES = "folders"`.
    """
    home = import_module(package)
    are_folders = getattr(home, "ENTRIES", "files") == "folders"
    found = {module.name for module in iter_modules(home.__path__) if module.ispkg == are_folders}
    return tuple(sorted(name for name in found if not name.startswith("_")))


def module(package: str, name: str) -> Any:
    """Import `package.name`, for callers that must not import it statically (the kernels)."""
    return import_module(f"{package}.{name}")


def load(package: str, name: str, attribute: str, kind: type[T]) -> T:
    """Import the one file or folder that holds the entry `name` and return its `attribute`.

    Raises:
        UnknownNameError: `package` has no entry of that name.
        TypeError: the file's `attribute` is not a `kind` (a fault of the entry, not of the user).
    """
    if name not in names(package):
        raise UnknownNameError(package.rpartition(".")[2], name, names(package))
    entry = getattr(import_module(f"{package}.{name}"), attribute, None)
    if not isinstance(entry, kind):
        raise TypeError(f"{package}.{name}.{attribute} is not a {kind.__name__}")
    return entry
