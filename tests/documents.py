"""Documents that are executed: a Markdown file's fenced blocks, what runs them, what they show.

A document's blocks run in their order, in one folder and one namespace:

- `python` runs; what it prints is its output.
- `sql` runs through `db.query(…)`; the rows that `.show()` prints are its output. `db` is a session
  in memory unless the document made its own.
- `console` runs each `$ ` line in the shell, `vista` being on its path; what follows is its output.
- `text` right after a `python` or `sql` block is its output; without it none is compared.

An output may leave out with `…` what differs from run to run. Numbers of seconds, generated names,
the memory limit and widths of tables are taken as equal. Any other block stands after a comment
that says why it is not run. Comments that the page does not show:

    <!-- setup            <!-- not run: needs a GPU -->        <!-- command: test -->
    python to run         the next block is not run            the next block, of kind `sh`, is a
    -->                                                        command that .ci/run takes from here
                          <!-- file: plans/mine.py -->
                          the next block is written there
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("python", "sql", "console", "text", "sh")

_PARTS = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->$"
    r"|(?:^<!-- (?P<mark>not run|command|file): (?P<word>[^\n]*) -->\n\n?)?"
    r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of a document; `mark` is the comment before it, as (what, word)."""

    kind: str  # of the fence, or 'setup'
    text: str
    start: int  # where the text begins in the document
    line: int
    mark: tuple[str, str] | None = None


def blocks(document: str) -> list[Block]:
    """Return a document's blocks in their order."""
    found = []
    for match in _PARTS.finditer(document):
        group = "setup" if match["setup"] is not None else "text"
        start = match.start(group)
        mark = (match["mark"], match["word"]) if match["mark"] else None
        kind = "setup" if group == "setup" else match["kind"]
        line = document.count("\n", 0, start) + 1
        found.append(Block(kind, match[group], start, line, mark))
    return found


def commands(document: str) -> dict[str, str]:
    """Return the commands that a document marks, by name."""
    return {
        block.mark[1]: block.text
        for block in blocks(document)
        if block.mark and block.mark[0] == "command"
    }


def run(document: str, place: str, accept: bool = False) -> str:
    """Run a document's blocks in the current folder.

    Args:
        document: its text.
        place: what to call it in messages.
        accept: put what a block shows where it differs from what the document says.

    Returns:
        the document, changed only where `accept` asks for it.

    Raises:
        AssertionError: a block shows something else than the document says.
    """
    namespace: dict[str, Any] = {"__name__": "__main__", "Path": Path}
    try:
        return _run(document, place, accept, namespace)
    finally:
        if hasattr(namespace.get("db"), "close"):  # what users open for themselves, they close
            namespace["db"].close()


def _run(document: str, place: str, accept: bool, namespace: dict[str, Any]) -> str:
    changes: list[tuple[Block, str]] = []
    todo = blocks(document)
    for block, following in zip(todo, [*todo, None][1:], strict=True):
        where = f"{place}, line {block.line}"
        if block.mark:
            if block.mark[0] == "file":
                Path(block.mark[1]).write_text(block.text, encoding="utf-8")
            continue
        assert block.kind in (*KINDS, "setup"), f"{where}: say why this {block.kind} is not run"
        assert block.kind != "sh", f"{where}: a command has a name or a reason not to run"
        if block.kind == "text":
            continue
        if block.kind == "console":
            expected, shown = block, _console(block.text)
        else:
            expected = following if following and following.kind == "text" else None
            shown = _python(block, namespace, where)
        if expected is None or same(expected.text, shown):
            continue
        assert accept, f"{where} shows:\n{shown}\nbut the document says:\n{expected.text}"
        changes.append((expected, shown))
    for block, shown in reversed(changes):
        end = block.start + len(block.text)
        document = document[: block.start] + shown.rstrip() + "\n" + document[end:]
    return document


def _python(block: Block, namespace: dict[str, Any], where: str) -> str:
    import vista_sql

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if block.kind == "sql":
            if "db" not in namespace:
                namespace["db"] = vista_sql.connect()
            result = namespace["db"].query(block.text, scope=namespace.get)
            if result.columns:
                result.show()
        else:
            exec(compile("\n" * block.line + block.text, where, "exec"), namespace)
    return printed.getvalue()


def _console(text: str) -> str:
    shown = []
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    for command in re.findall(r"^\$ ((?:.*\\\n)*.*)", text, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "PATH": path, "COLUMNS": "100", "PYTEST_ADDOPTS": ""},
        )
        assert done.returncode == 0, f"{shlex.quote(command)} failed: {done.stderr}"
        shown.append(f"$ {command}\n{done.stdout}")
    return "".join(shown)


def same(expected: str, shown: str) -> bool:
    """Return whether an output is as written, but for what differs from run to run.

    Example:
        >>> same("f1  0.93 in 1.2 s", "f1 0.93 in 14 s")
        True
        >>> same("rows: … of 4", "rows: 3 of 4")
        True
        >>> same("rows: 3", "rows: 4")
        False
    """
    pattern = ".*?".join(map(re.escape, re.split(r"…|\.\.\.", _steady(expected))))
    return re.fullmatch(pattern, _steady(shown), re.DOTALL) is not None


def _steady(text: str) -> str:
    text = re.sub(r"\b\d+(\.\d+)? ?(ms|s|seconds|min)\b", "0 s", text)
    text = re.sub(r"memory limit: .*", "memory limit: 0", text)  # the machine's
    text = re.sub(r"__vista_[0-9a-f]{8}", "__vista_0", text)
    text = re.sub(r"[─━═]+", "─", text)
    text = re.sub(r"[ \t]+", " ", text)
    return "\n".join(line.strip() for line in text.strip().splitlines())
