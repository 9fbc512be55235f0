"""Which source of a setting wins, and what it may be."""

from __future__ import annotations

import pytest

from vista_sql.errors import SettingError
from vista_sql.settings import SETTINGS, Settings

BOTH = Settings({"vista_batch_rows": 3}, {"VISTA_SQL_BATCH_ROWS": "4", "VISTA_SQL_PLAN": "LAZY "})


def test_the_argument_then_the_variable_then_the_environment_then_the_default():
    assert BOTH.value("batch_rows", 2).value == 2
    assert (BOTH.value("batch_rows").value, BOTH.value("batch_rows").source) == (
        3,
        "SET VARIABLE vista_batch_rows",
    )
    assert (BOTH.value("plan").value, BOTH.value("plan").source) == ("lazy", "VISTA_SQL_PLAN")
    assert (BOTH.value("threads").value, BOTH.value("threads").source) == (None, "default")
    assert Settings({"vista_plan": None}, {"VISTA_SQL_PLAN": ""}).value("plan").source == "default"


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("memory_limit", "4GB", 4_000_000_000),
        ("memory_limit", "1.5 GiB", 1610612736),
        ("memory_limit", 1000, 1000),
        ("placement", "Before", "before"),
        ("device", "CPU", "cpu"),
        ("seed", "-3", -3),
        ("threads", 2, 2),
    ],
)
def test_values_are_read(name, given, value):
    assert Settings({}, {}).value(name, given).value == value


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("batch_rows", 0),
        ("batch_rows", "x"),
        ("threads", -1),
        ("placement", "up"),
        ("device", "tpu"),
        ("memory_limit", "4 elephants"),
        ("seed", 1.5),
    ],
)
def test_values_that_cannot_be_name_the_setting_and_its_source(name, given):
    with pytest.raises(
        SettingError, match=rf"^{name} must be .*, not .* \(from SET VARIABLE vista_{name}\)"
    ):
        Settings({f"vista_{name}": given}, {}).value(name)


def test_schemes_hold_beside_each_other():
    environment = {"VISTA_SQL_SCHEMES": "File"}
    one = Settings({}, environment).value("schemes")
    assert (one.value, one.source) == ("file", "VISTA_SQL_SCHEMES")
    both = Settings({"vista_schemes": "https, file"}, environment).value("schemes")
    assert (both.value, both.source) == ("https, file;file", "SET VARIABLE vista_schemes")


def test_settings_say_what_they_mean():
    assert all(setting.meaning for setting in SETTINGS)
