"""The extension of the stock shell: its functions from the kernels, its binary from a compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from msgspec import Struct

from vista_sql import files
from vista_sql.errors import HostError
from vista_sql.hosts.duckdb.functions import kernels
from vista_sql.machine.resources import own_version

SOURCES = ("vista.c", "link.c", "columns.c")
HEADERS = ("duckdb_api.h", "link.h", "columns.h")
FILE = "vista.duckdb_extension"
"""DuckDB finds the entry point by the file's name."""

ABI, API_VERSION = "C_STRUCT", "v1.2.0"
FLAGS = (
    *("-std=gnu11", "-O2", "-g0", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread"),
    *("-Wall", "-Wextra", "-Werror=implicit-function-declaration", "-ffile-prefix-map=.=vista"),
)
LINKED = ("-Wl,--build-id=none", "-s")


class Function(Struct, frozen=True):
    """A SQL function that the extension forwards; types as DuckDB writes them."""

    name: str
    parameters: tuple[str, ...] | None  # None: any number of any
    returns: str
    is_volatile: bool = True


PLANNING = (
    Function("vista_plan", None, "VARCHAR", is_volatile=False),
    Function("vista_kept", ("VARCHAR", "VARCHAR", "VARCHAR"), "BOOLEAN", is_volatile=False),
    Function("vista_home", (), "VARCHAR", is_volatile=False),
)


def functions() -> Iterator[Function]:
    """Yield what the extension registers: planning, and every kernel."""
    yield from PLANNING
    for kernel in kernels():
        yield Function(kernel.name, kernel.parameters, kernel.returns)


def built(folder: Path | None = None) -> Path:
    """Return the extension for this package and machine; compiled where it is not there yet.

    Args:
        folder: where to put it, compiled anew; None: the one that a wheel brought, else the
            user's own place.

    Raises:
        HostError: there is no C compiler, or it refuses.
    """
    if folder is not None:
        return _compiled(folder)
    brought = Path(__file__).parent / FILE
    if brought.exists() and brought.read_bytes().endswith(_footer()):
        return brought
    return own() if own().exists() else _compiled(own().parent)


def own() -> Path:
    """Return where the extension lies once it was compiled here."""
    return files.user_data() / "extension" / digest() / FILE


@cache
def digest() -> str:
    """Return what tells apart extensions that differ in source, functions or machine."""
    folder = Path(__file__).parent
    parts = [(folder / name).read_text() for name in (*SOURCES, *HEADERS)]
    parts += [functions_header(), repr((FLAGS, LINKED, platform()))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def functions_header() -> str:
    """Return functions.h: the table of functions, types in the short form of columns.h."""
    lines = [
        "struct function {",
        "    const char *name;",
        "    const char *parameters; /* NULL: any number of any type */",
        "    const char *returns;",
        "    bool is_volatile;",
        "};",
        "",
        f'#define PACKAGE_VERSION "{own_version()}"',
        "",
        "__attribute__((unused)) static const struct function functions[] = {",
    ]
    for function in functions():
        parameters = "NULL"
        if function.parameters is not None:
            parameters = f'"{"".join(short_form(kind) for kind in function.parameters)}"'
        flag = "true" if function.is_volatile else "false"
        lines.append(
            f'    {{"{function.name}", {parameters}, "{short_form(function.returns)}", {flag}}},'
        )
    return "\n".join([*lines, "    {NULL, NULL, NULL, false},", "};", ""])


def short_form(kind: str) -> str:
    """Return a DuckDB type as the extension reads it.

    Example:
        >>> short_form("STRUCT(a FLOAT[], b MAP(VARCHAR, DOUBLE))")
        '{a=[10;b=(17;11;}'
    """
    return _short(duckdb.sqltype(kind))


def _short(kind: Any) -> str:  # DuckDB's stub leaves open what its children are
    if kind.id == "struct":
        return f"{{{''.join(f'{name}={_short(part)}' for name, part in kind.children)}}}"
    if kind.id == "list":
        return f"[{_short(kind.children[0][1])}"
    if kind.id == "map":
        return f"({''.join(_short(part) for _, part in kind.children)}"
    return f"{TYPE_IDS[kind.id]};"


TYPE_IDS = {
    "boolean": 1,
    "integer": 4,
    "bigint": 5,
    "ubigint": 9,
    "float": 10,
    "double": 11,
    "varchar": 17,
    "blob": 18,
}
"""duckdb_type of the C API, by the names of Python's types: those that kernels use."""


@cache
def platform() -> str:
    """Return what DuckDB calls this machine, like linux_amd64."""
    with duckdb.connect() as con:
        return str(con.execute("PRAGMA platform").fetchall()[0][0])


def _compiled(folder: Path) -> Path:
    compiler = _compiler()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        place = Path(scratch)
        for name in (*SOURCES, *HEADERS):
            shutil.copyfile(Path(__file__).parent / name, place / name)
        (place / "functions.h").write_text(functions_header())
        command = [*compiler, *FLAGS, "-o", "vista.so", *SOURCES, *LINKED]
        compilation = subprocess.run(
            command, cwd=place, capture_output=True, text=True, check=False, timeout=300
        )
        if compilation.returncode:
            raise HostError(
                f"the C compiler refused the extension ({' '.join(command)}):\n{compilation.stderr}"
            )
        (place / FILE).write_bytes((place / "vista.so").read_bytes() + _footer())
        (place / FILE).replace(folder / FILE)  # another process may do the same
    return folder / FILE


def _footer() -> bytes:
    """Return what DuckDB reads at a file's end: for whom it is; no signature."""
    fields = ("", "", "", ABI, own_version(), API_VERSION, platform(), "4")
    head = b"\x00\x93\x04\x10duckdb_signature\x80\x04"  # a custom section, as in WebAssembly
    padded = b"".join(field.encode().ljust(32, b"\0") for field in fields)
    return head + padded + bytes(256)


def _compiler() -> list[str]:
    chosen = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    for command in (chosen.split(), ["cc"], ["gcc"], ["clang"]):
        if command and shutil.which(command[0]):
            return command if os.environ.get("CC") else command[:1]
    raise HostError(
        "there is no C compiler, which the extension of the duckdb shell is built with once: "
        "install one (Debian, Ubuntu: apt-get install gcc libc6-dev), or set CC"
    )
