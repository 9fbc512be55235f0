"""The paper's workloads, queries/foods and queries/amazon, on a few rows of generated data."""

import pytest
import shipped

import vista_sql
from vista_sql import datasets

ROWS = 60  # a tiny test side: what is checked is that it runs, not how well it does
LAYERS = ["conv5", "fc6", "fc7", "fc8"]


@pytest.fixture(scope="module", params=["foods", pytest.param("amazon", marks=pytest.mark.full)])
def workload(request, tmp_path_factory):
    write = getattr(datasets, request.param)
    with vista_sql.connect(write(tmp_path_factory.mktemp(request.param), rows=ROWS)) as db:
        yield request.param, db


def test_the_papers_workload_runs(workload):
    name, db = workload
    assert shipped.check(db, f"{name}/{name}_by_layer.sql") == 2 + len(LAYERS)
    assert shipped.check(db, f"{name}/{name}_features.sql") == ROWS
    assert shipped.check(db, f"{name}/{name}_predict.sql") == 10
    kept = db.query("SELECT feature_set, reg, l1_ratio, dims FROM VISTA_MODELS()").fetchall()
    columns = {"foods": 129, "amazon": 201}[name]
    widths = [0, 0, 1024, 4096, 4096, 1000]
    sets = ["structured", "tree", *(f"structured+{layer}" for layer in LAYERS)]
    penalties = [(None, None) if one == "tree" else (0.01, 0.5) for one in sets]
    assert kept == [
        (one, *penalty, columns + width)
        for one, penalty, width in zip(sets, penalties, widths, strict=True)
    ]


def test_the_queries_say_that_data_and_weights_are_made_up(workload):
    for name in shipped.NAMES:
        if name.startswith(f"{workload[0]}/"):
            text = (shipped.ROOT / name).read_text()
            assert "generated, not the" in text
            assert "-- Weights   random, from a seed" in text
