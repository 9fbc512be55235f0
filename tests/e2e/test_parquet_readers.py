"""Parquet files that statements write are read by others: pyarrow and pandas, NULL features too."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from vista_sql.cli import app

CALL = "TRANSFER(cnn => 'lenet5', layers => ['f6'], images => 'images', structured => 'foods')"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        (f"SELECT id, f6 FROM {CALL} ORDER BY price DESC, id, error", ""),
        (f"SELECT id, f6, f6[1:3] AS few FROM {CALL} ORDER BY price DESC, id, error", ""),
        (f"SELECT id, f6, f6 AS g FROM {CALL} ORDER BY price DESC, id, error", " (FORMAT parquet)"),
        (
            f"WITH w AS (FROM {CALL}) SELECT id, f6 FROM w ORDER BY price DESC, id, error",
            " (FORMAT parquet, COMPRESSION zstd)",
        ),
    ],
)
def test_others_read_what_is_copied(foods_db, tmp_path, query, options):
    file = tmp_path / "f.parquet"
    foods_db.query(f"COPY ({query}) TO '{file}'{options}").arrow()
    table = pq.read_table(file)
    rows = foods_db.query(query).fetchall()
    assert table.column("id").to_pylist() == [row[0] for row in rows]  # their order stays
    features = [None if row[1] is None else list(row[1]) for row in rows]
    assert table.column("f6").to_pylist() == features
    assert None in features
    assert len(table.to_pandas()) == len(rows)


def test_others_read_what_the_command_line_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISTA_SQL_STORE", "false")
    query = (
        "SELECT i AS id, fc6 FROM TRANSFER(cnn => 'lenet5', layers => ['fc6'], "
        "images => $$SELECT i AS id, 'none.png' AS file FROM range(3) AS r(i)$$) AS t(i, fc6, e)"
    )
    query = query.replace("SELECT i AS id, fc6", "SELECT id, fc6").replace(" AS t(i, fc6, e)", "")
    done = CliRunner().invoke(app, ["query", query, "-o", "f.parquet"])
    assert done.exit_code == 0, done.output
    assert pq.read_table("f.parquet").column("fc6").to_pylist() == [None] * 3
