"""The studies of transfer in a small form: queries/transferability and custom_classifier."""

from __future__ import annotations

import pytest
import shipped

import vista_sql
from vista_sql import datasets, report

SMALL = {
    "epochs": "1",
    "base_epochs": "2",
    "seeds": "1",
    "rates": "0.1",
    "inner_rates": "[0, 0.01]",
}


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    datasets.digits(folder)
    with vista_sql.connect(folder / datasets.DATABASE) as session:
        session.path = folder / datasets.DATABASE
        yield session


def test_fifty_images_a_class_make_a_classifier(db):
    assert shipped.check(db, "custom_classifier/custom_classifier.sql", **SMALL) == 4
    assert shipped.check(db, "custom_classifier/custom_predictions.sql") == 5
    predictions = shipped.sql("custom_classifier/custom_predictions.sql")
    (known, n) = db.query(f"SELECT sum(known), sum(n) FROM ({predictions})").fetchone()
    assert n == 896 - 250
    assert known > 0.8 * n


def test_the_degree_of_tuning_is_a_table_and_a_plot(db):
    assert shipped.check(db, "transferability/degree_of_finetuning.sql", **SMALL) == 2
    page, _ = report.render(f"{db.path}.vista", "degree")
    assert "How it was tuned" in page
    assert "inner 0.01" in page  # what tells the runs apart
    assert "loss on validation rows" in page


@pytest.mark.full
def test_layers_of_one_task_serve_another(db):
    assert shipped.check(db, "transferability/base_b.sql", **SMALL) == 3
    assert shipped.check(db, "transferability/transferability.sql", **SMALL) == 12
