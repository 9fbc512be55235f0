"""Spark on the command line, as far as no session is needed."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from vista_sql.cli._app import app


def ran(*arguments):
    return CliRunner().invoke(app, arguments)


def test_the_optimizers_settings_are_flags_of_spark_submit():
    layers = "conv4_6,conv5_1,conv5_2,conv5_3,avg_pool"
    done = ran(
        *("spark-conf", "resnet50", "--layers", layers),
        *("--rows", "20129", "--structured-columns", "130"),
    )
    assert done.exit_code == 0
    flags = done.stdout.splitlines()
    assert flags[:2] == ["--num-executors 8", "--executor-cores 7"]
    assert "--conf spark.sql.shuffle.partitions=224" in flags  # the paper's np
    assert all(flag.startswith("--") for flag in flags)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("spark-conf", "resnet5", "--rows", "9"), "did you mean 'resnet50'"),
        (("spark-conf", "vgg16", "--rows", "9", "--memory", "4GB"), "vgg16 needs"),
        (("spark-conf", "vgg16", "--rows", "9", "--memory", "much"), "'much' is no size"),
        (("query", "SELECT 1", "--spark", "local", "--db", "a.duckdb"), "leave one out"),
    ],
)
def test_what_is_wrong_is_said(arguments, said):
    done = ran(*arguments)
    assert done.exit_code in (1, 2)
    assert said in done.stderr


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "vista_sql.hosts.spark.opening", raising=False)
    for name in ("pyspark", "pyspark.errors"):
        monkeypatch.setitem(sys.modules, name, None)
    done = ran("query", "SELECT 1", "--spark", "local")
    assert "Spark is not installed: pip install 'vista-sql[spark]'" in done.stderr
