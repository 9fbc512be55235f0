"""Planning without a database: what was asked of one is written down, and told again from there.

This file needs what planning needs, sqlglot; tests/golden/test_without_engines.py runs it where
nothing else is installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from goldens import ANSWERS, ENGINE, EXPLAINS, MEMORY_LIMIT, REWRITES, SALT, statement_of

from vista_sql.errors import QueryError
from vista_sql.kernels import AtHand
from vista_sql.planning import explain
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.planner import plan
from vista_sql.planning.script import Script
from vista_sql.settings import Settings
from vista_sql.sql import edit, parse

SETTINGS = {
    "vista_engine": ENGINE,
    "vista_memory_limit": MEMORY_LIMIT,
    "vista_store": False,
    "vista_calibration": False,
}

Answers = dict[str, dict[str, Any]]
"""Method of the planner's `Database` → its argument as text → the answer, as JSON has it."""


def planned(text: str, database: Any) -> tuple[str, str]:
    """Plan a statement as `query()` does: the one place that knows how the planner is called.

    Args:
        text: one statement.
        database: answers as the planner's protocol `Database` says.

    Returns:
        the staged SQL, and how `db.explain()` shows it.
    """
    (statement,) = parse.parse(text)
    sink = edit.sink_of(statement.text, "table")
    host = Capabilities(small_batches=True, sink=sink)
    context = Context(Settings(SETTINGS, {}), "", host, FreshNames(SALT))
    script = plan(statement, database, context) if statement.calls else Script(statement.text)
    return explain.staged_sql(script), explain.render(script)


class Recorder:
    """A database whose answers are written down."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.answers: Answers = {}

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def asked(*arguments: str) -> Any:
            answers = self.answers.setdefault(method, {})
            try:
                answer = getattr(self._database, method)(*arguments)
            except QueryError as error:
                answers["".join(arguments)] = {"error": error.message}
                raise
            answers["".join(arguments)] = answer
            return answer

        return asked


class Recorded:
    """A database that tells again what was written down."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def asked(*arguments: str) -> Any:
            answers = self._answers.get(method, {})
            question = "".join(arguments)
            assert question in answers, f"no answer to {method}({question}): pytest --accept"
            answer = answers[question]
            if isinstance(answer, dict) and [*answer] == ["error"]:
                raise QueryError(answer["error"])
            if method == "images_at_hand":
                return AtHand(*answer)
            return tuple(answer) if isinstance(answer, list) else answer

        return asked


def main() -> None:
    """Plan every golden statement; print JSON: file → the staged SQL, or how it is explained."""
    answers = json.loads(ANSWERS.read_text())
    texts = {case.name: planned(statement_of(case), Recorded(answers))[0] for case in REWRITES}
    texts |= {case.name: planned(statement_of(case), Recorded(answers))[1] for case in EXPLAINS}
    print(json.dumps(texts))


if __name__ == "__main__":
    main()
