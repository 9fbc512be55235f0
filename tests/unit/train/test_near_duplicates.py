"""Test rows that are nearly equal to training rows are told in `warning`."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest


def table(n, width, copies, noise):
    rng = np.random.default_rng(1)
    x = np.maximum(rng.normal(size=(n, width)), 0).astype(np.float32)
    x[:copies] = x[copies : 2 * copies] + noise * rng.normal(size=(copies, width))
    return pa.table({"id": range(n), "y": np.arange(n) % 2 == 0, "f": list(x)})


def warning(sql, rows, **arguments):
    sql.con.register("given", rows)
    found = sql.train("SELECT * FROM given", baselines=[], max_iterations=3, **arguments)
    return found[-1]["warning"] or ""


NEARLY = re.compile(r"(\d+) of ([\d,]+) test rows looked at are nearly equal to (.*?) in 'f'")


@pytest.mark.parametrize("width", [40, 300, 128 * 3])
def test_nearly_equal_rows_on_both_sides_are_counted(sql, width):
    count, tested, of = NEARLY.search(warning(sql, table(1000, width, 300, 0.02))).groups()
    # of 200 test rows 6 in 10 have a copy, of which 8 in 10 train
    assert 60 < int(count) < 130
    assert 150 < int(tested) < 250
    assert of == "a training row"


def test_with_folds_a_copy_in_another_fold_counts(sql):
    count, tested, of = NEARLY.search(warning(sql, table(900, 50, 300, 0.02), folds=3)).groups()
    assert 300 < int(count) < 500
    assert (int(tested), of) == (900, "a row of another fold")


def test_equal_rows_and_different_ones_are_not_nearly_equal(sql):
    assert "stand on both sides" in warning(sql, table(600, 200, 200, 0))
    assert not NEARLY.search(warning(sql, table(600, 200, 200, 0)))
    assert not NEARLY.search(warning(sql, table(600, 200, 1, 0.5), model="other"))


def test_rows_are_a_sample_where_there_are_many(sql, monkeypatch):
    from vista_sql.train import near_duplicates

    monkeypatch.setattr(near_duplicates, "MOST_COMPARED", 50_000)
    monkeypatch.setattr(near_duplicates, "LEAST_TESTED", 20)
    _, tested, _ = NEARLY.search(warning(sql, table(1000, 40, 300, 0.02))).groups()
    assert 55 < int(tested) < 70
