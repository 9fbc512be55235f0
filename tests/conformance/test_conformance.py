"""The same statements, the same rows, in every host: each .sql here and its .json beside it.

`query()` is what `--accept` asks. Numbers agree within 1e-6 (the bound for results that were
trained; features of one machine are bit-equal, which the golden statements show).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import foods
import pytest
from hosts import HOSTS, database

FILES = sorted(Path(__file__).parent.glob("*.sql"))
TOLERANCE = 1e-6


def statements(text: str) -> Iterator[str]:
    for statement in duckdb.extract_statements(text):
        yield statement.query


def shown(value: Any) -> Any:
    """Return a value as JSON has it, which knows no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_rows_are_those_expected(file, host, tmp_path, monkeypatch, shell, accept):
    monkeypatch.chdir(tmp_path)
    rows = []
    with HOSTS[host].open(database(tmp_path, foods.fill), shell) as client:
        for statement in statements(file.read_text()):
            for row in client.run(statement).dicts():
                rows.append({column: shown(value) for column, value in row.items()})
    answers = file.with_suffix(".json")
    if accept and host == "query":
        lines = ",\n".join(json.dumps(row) for row in rows)
        answers.write_text(f"[\n{lines}\n]\n")
    expected = json.loads(answers.read_text())
    assert len(rows) == len(expected)
    for number, (row, wanted) in enumerate(zip(rows, expected, strict=True), 1):
        assert list(row) == list(wanted), number
        for column, value in wanted.items():
            if isinstance(value, float):
                near = pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE)
                assert row[column] == near, (number, column)
            else:
                assert row[column] == value, (number, column)
