"""The stock duckdb shell with our extension, in a place of its own, for tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vista_sql.hosts.shell import binary

TIMEOUT_SECONDS = 120  # TensorFlow's import on a loaded machine takes 20


@dataclass
class Shells:
    """Shells of one user, all with one worker; sockets and built extensions lie in `folder`."""

    folder: Path
    binary: Path = field(default_factory=binary.find)
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of shells and workers."""
        return os.environ | {
            "XDG_RUNTIME_DIR": str(self.folder),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "HOME": str(self.folder),
            **self.more,
        }

    def command(self, *arguments: str | Path) -> list[str]:
        """Return the command line of a shell that has our functions."""
        read = f".read '{self.init}'"
        return [str(self.binary), "-unsigned", "-cmd", read, *map(str, arguments)]

    @cached_property
    def init(self) -> Path:
        """What a shell reads first; the extension is built for it."""
        return Path(self.vista("extension", "init").stdout.strip())

    def vista(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `vista`; it must succeed."""
        return subprocess.run(
            [sys.executable, "-m", "vista_sql", *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_SECONDS,
        )

    def run(
        self, sql: str, *arguments: str | Path, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run statements in a shell of their own, fed by its stdin."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=cwd or self.folder,
            input=sql,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )

    def rows(self, sql: str, *arguments: str | Path, cwd: Path | None = None) -> list[Any]:
        """Return the rows of all statements, a dict each; every statement must succeed."""
        done = self.run(sql, *arguments, "-json", cwd=cwd)
        assert not done.stderr, done.stderr
        return list(documents(done.stdout))

    def error(self, sql: str, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Return what the shell says of statements that fail."""
        done = self.run(sql, *arguments, cwd=cwd)
        assert done.stderr, done.stdout
        return done.stderr

    @property
    def log(self) -> str:
        """What the worker has logged."""
        return self.vista("worker", "--log").stdout


def documents(text: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `-json`'s output: a list for each statement that returned some."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        rows, at = decoder.raw_decode(text, at)
        yield from rows


@contextmanager
def shells(**more: str) -> Iterator[Shells]:
    """Yield shells in a fresh place; their worker ends afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vista", dir="/tmp"))  # a socket's name must be short
    made = Shells(folder, more=more)
    try:
        yield made
    finally:
        made.vista("worker", "--stop")
        shutil.rmtree(folder)
