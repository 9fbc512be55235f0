"""Jinja, as query files and dbt's YAML hold it → text."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vista_sql.errors import Place, QueryError, VistaError

TARGET = {"name": "vista", "type": "duckdb", "schema": "main"}

_NAMES = "ref, source, var, env_var, config, this, is_incremental, execute and target"


def rendered(path: Path, text: str, names: Mapping[str, Any]) -> str:
    """Return a file's text with its Jinja carried out.

    Args:
        path: the file, for messages.
        text: what it holds, or a part.
        names: what the Jinja may use beside `known`.

    Raises:
        QueryError: it is no Jinja, uses what is not there, or fails.
    """
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"]
    )
    try:
        return environment.from_string(text).render(names)
    except jinja2.TemplateSyntaxError as error:
        raise QueryError(f"{path}: {error.message}", _line(text, error.lineno)) from None
    except jinja2.UndefinedError as error:
        reason = str(error.message)
        name = re.match(r"'(\w+)' is undefined", reason)
        where = place(text, rf"\b({name[1]})\b") if name else None
        raise QueryError(
            f"{path}: {reason}; there is {_NAMES}, but none of dbt's macros and packages", where
        ) from None
    except VistaError:
        raise
    except jinja2.TemplateError as error:
        raise QueryError(f"{path}: {error}") from None
    except Exception as error:  # whatever its expressions raise
        reason = re.sub(r"[\w.]*<locals>\.", "", str(error))
        raise QueryError(f"{path}: its Jinja fails: {reason}") from None


def known(path: Path, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Jinja may use in any file: `var`, `env_var`, `target`."""

    def var(name: str, *default: Any) -> Any:
        if name in variables or default:
            return variables.get(name, *default)
        where = place(text, rf"\bvar\s*\(\s*['\"]({re.escape(name)})['\"]")
        raise QueryError(f"{path}: var {name!r} has no value: give --var {name}=VALUE", where)

    def env_var(name: str, default: str | None = None) -> str:
        value = os.environ.get(name, default)
        if value is None:
            where = place(text, rf"\benv_var\s*\(\s*['\"]({re.escape(name)})['\"]")
            raise QueryError(f"{path}: the environment has no {name}", where)
        return value

    return {"var": var, "env_var": env_var, "target": TARGET}


def place(text: str, pattern: str) -> Place | None:
    """Return where the first group of a pattern stands in a text."""
    match = re.search(pattern, text)
    return Place(text, match.start(1), match.end(1)) if match else None


def _line(text: str, number: int) -> Place:
    lines = text.splitlines() or [""]
    start = sum(len(line) + 1 for line in lines[: number - 1])
    return Place(text, start, start + max(1, len(lines[min(number, len(lines)) - 1])))
