"""Hosts: where statements run. What each can do is data, `Capabilities`; planning is one for all.

A host is a module below this package that holds `HOST = HostKind(...)`. The protocol `Host` says
what its objects do for planning and with what planning returns.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages
from typing import Protocol, TypeVar

from msgspec import Struct

from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.database import Database
from vista_sql.planning.script import Script

Rows_co = TypeVar("Rows_co", covariant=True)


class HostKind(Struct, frozen=True):
    """A kind of host: its name, and what it can do."""

    name: str
    meaning: str
    capabilities: Capabilities


class Host(Protocol[Rows_co]):
    """One connection, shell or cluster session that statements run on."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do, and the dialect of SQL that it reads and prints."""

    @property
    def database(self) -> Database:
        """What planning may ask: to describe queries, to count rows; `Unseen` where it cannot."""

    def run(self, script: Script) -> Rows_co:
        """Run a script: stage the narrow rows of each TRANSFER that is apart, then the text.

        Returns:
            The rows; of a host that plans while its engine binds, the SELECT that the engine runs.
        """


def kinds() -> tuple[HostKind, ...]:
    """Return the hosts there are, by name; one whose engine is not installed is left out."""
    found = []
    for module in walk_packages(__path__, f"{__name__}."):
        try:
            kind = getattr(import_module(module.name), "HOST", None)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("vista_sql"):
                raise
            continue  # its engine's package, an extra
        if isinstance(kind, HostKind):
            found.append(kind)
    return tuple(sorted(found, key=lambda kind: kind.name))
