"""The package's source as data: its files, the names they go by, and what each imports and when."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = {"vista_sql": ROOT / "vista_sql", "vista_sql.udfs": ROOT / "udfs"}


@dataclass(frozen=True)
class Import:
    """One imported module; `when` is 'load' (of the file), 'call' (of a function) or 'typing'."""

    module: str
    when: str
    line: int


@cache
def module_files() -> dict[str, Path]:
    """Return every Python file of the package by its module's name."""
    found = {}
    for package, folder in FOLDERS.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            found[".".join((package, *(part for part in parts if part != "__init__")))] = file
    return found


@cache
def tree(file: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(file.read_text(), str(file))


@cache
def imports(module: str) -> list[Import]:
    """Return what a module imports; `from package import name` names the file if `name` is one."""
    files = module_files()
    is_package = files[module].name == "__init__.py"
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for node, when in _statements(tree(files[module]), "load"):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, when, node.lineno) for alias in node.names]
        else:
            above = package.split(".")
            base = ".".join(above[: len(above) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                child = f"{base}.{alias.name}"
                found.append(Import(child if child in files else base, when, node.lineno))
    return found


def _statements(node: ast.AST, when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, when
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        when = "typing" if when == "typing" else "call"
    for name, value in ast.iter_fields(node):
        inner = when
        if isinstance(node, ast.If) and name == "body" and "TYPE_CHECKING" in ast.dump(node.test):
            inner = "typing"
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _statements(child, inner)


def is_ours(module: str) -> bool:
    """Return whether a module belongs to the package."""
    return module.partition(".")[0] == "vista_sql"


def is_standard(module: str) -> bool:
    """Return whether a module comes with Python."""
    return module.partition(".")[0] in sys.stdlib_module_names
