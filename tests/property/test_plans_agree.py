"""Every plan, placement, batch size, store and host gives the same rows, bit-equal features."""

from __future__ import annotations

import foods
import hosts
import pytest
from hosts import HOSTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vista_sql.planning import plans

LAYERS = ("conv1", "pool1", "conv3", "f6")
HINTS = st.fixed_dictionaries(
    {
        "plan": st.sampled_from(plans.names()),
        "placement": st.sampled_from(["after", "before"]),
        "batch_rows": st.sampled_from([1, 2, 3, 5, 64]),
        "threads": st.sampled_from([1, 2]),
        "store": st.booleans(),
    }
)
CALLS = st.fixed_dictionaries(
    {
        "layers": st.lists(st.sampled_from(LAYERS), min_size=1, max_size=3, unique=True),
        "pool": st.sampled_from(["max2x2", "gap", "gem", "none"]),
        "format": st.sampled_from(["wide", "long"]),
        "join_type": st.sampled_from(["inner", "left"]),
        "on_error": st.sampled_from(["null", "skip"]),
        "structured": st.sampled_from(["foods", "other", "(SELECT * FROM foods WHERE id > 100)"]),
    }
)
bounded = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def clients(tmp_path_factory, shell):
    with hosts.clients(tmp_path_factory.mktemp("plans"), shell, foods.fill) as opened:
        yield opened


def answer(client, **arguments):
    prefix = "cnn_"  # the table `other` has a column f6
    shown = ", ".join(f"{name} => {value!r}" for name, value in arguments.items())
    text = f"SELECT * FROM TRANSFER(cnn => 'lenet5', {shown}, prefix => '{prefix}')"
    return client.run(text)


def check(clients, hints, arguments):
    wanted = answer(clients["query"], **arguments)
    rows = foods.sorted_rows(wanted.rows)
    for host in HOSTS:
        table = answer(clients[host], **arguments, **hints)
        assert table.columns == wanted.columns or not table.rows, host
        assert table.types in (wanted.types, ()), host
        assert foods.sorted_rows(table.rows) == rows, host


@bounded
@given(arguments=CALLS, hints=HINTS)
def test_every_way_gives_the_same(clients, tmp_path, arguments, hints):
    hints["store"] = str(tmp_path) if hints["store"] else False  # it fills up from case to case
    check(clients, hints, arguments)


@pytest.mark.full
@settings(bounded, max_examples=300)
@given(arguments=CALLS, hints=HINTS)
def test_every_way_gives_the_same_at_length(clients, tmp_path, arguments, hints):
    hints["store"] = str(tmp_path) if hints["store"] else False
    check(clients, hints, arguments)


@pytest.mark.parametrize("plan", plans.names())
@pytest.mark.parametrize("placement", ["after", "before"])
def test_plan_and_placement(clients, plan, placement):
    arguments = {"layers": list(LAYERS), "structured": "foods", "join_type": "left"}
    check(clients, {"plan": plan, "placement": placement, "batch_rows": 3}, arguments)
