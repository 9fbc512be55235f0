"""Workload + plan → staged SQL: rows, calls upon them, and both as one SELECT."""

from __future__ import annotations

import json
import re

import pytest
import sqlglot
from msgspec.structs import replace
from sqlglot import exp

from vista_sql.machine.resources import Resources
from vista_sql.planning import optimizer, plans, rewrite
from vista_sql.planning.calls import PLANNED_AWAY
from vista_sql.planning.candidates import NO_HINTS, Machine
from vista_sql.planning.capabilities import Capabilities
from vista_sql.planning.rows import Identifiers
from vista_sql.planning.workload import Relation, bind, load_cnn
from vista_sql.settings import Value
from vista_sql.sql.calls import Call
from vista_sql.sql.needs import Needs

PHOTOS = Relation("photos", {"id": "INTEGER", "image": "BLOB"})
FOODS = Relation("foods", {"id": "INTEGER", "price": "DOUBLE"})


def workload(cnn="lenet5", layers=("conv3", "f6"), structured=FOODS, images=PHOTOS, **arguments):
    call = Call("transfer", {"cnn": cnn, "layers": list(layers), **arguments}, {})
    return bind(call, load_cnn(call), images, structured, seed=0, device="auto")


def staged(work, plan="fused", placement="after", **given):
    hints = replace(
        NO_HINTS,
        plan=Value("plan", plan, "plan => …"),
        placement=Value("placement", placement, "placement => …"),
    )
    machine = Machine(Resources(2, 2**34, "test"), Capabilities(), hints)
    return rewrite.stage(work, optimizer.choose(work, machine), Identifiers("__v_"), **given)


def specs(text):
    """Return (kernel, spec) of each call in a text, in its order."""
    return [
        (name, json.loads(spec.replace("''", "'")))
        for name, spec in re.findall(r"(vista_\w+)\('(\{.*?\})'", text)
    ]


@pytest.mark.parametrize("placement", ["after", "before"])
@pytest.mark.parametrize("plan", plans.names())
def test_every_plan_gives_one_select_that_parses(plan, placement):
    made = staged(workload(), plan, placement)
    tree = sqlglot.parse_one(made.whole, dialect="duckdb")
    assert isinstance(tree, exp.Select)
    assert [c.alias_or_name for c in tree.selects] == ["id", "price", "conv3", "f6", "error"]
    assert {t.name for t in tree.find_all(exp.Table)} == {"photos", "foods"}
    apart = sqlglot.parse_one(made.calls, dialect="duckdb")
    assert made.rows_name in {t.name for t in apart.find_all(exp.Table)}
    assert "photos" in made.rows


def test_fused_asks_once_and_lazy_once_a_layer():
    names = [name for name, _ in specs(staged(workload(), "fused").calls)]
    assert names.count("vista_infer_2") == 1
    names = [name for name, _ in specs(staged(workload(), "lazy").calls)]
    assert names.count("vista_infer_1") == 2


def test_staged_goes_on_from_the_raw_map_below():
    calls = dict(specs(staged(workload(), "staged").calls))
    assert calls["vista_resume_1"]["start"] == "c5"
    assert calls["vista_maps_1"]["layers"] == ["c5"]
    assert "start" not in calls["vista_maps_1"]


def test_what_is_not_used_is_planned_away():
    work = replace(workload(), needs=Needs(frozenset({"id", "f6"})))
    text = staged(work).whole
    assert text.count(f"error('{PLANNED_AWAY}')") == 3  # price, conv3, error
    (spec,) = (spec for name, spec in specs(text) if name.startswith("vista_infer"))
    assert spec["layers"] == ["f6"]


def test_a_gate_is_asked_by_the_calls_that_read_images():
    for plan in ("fused", "staged", "eager"):
        for name, spec in specs(staged(workload(), plan, gate="g").whole):
            reads = name.startswith(("vista_infer", "vista_maps", "vista_error"))
            assert spec.get("gate", "") == ("g" if reads else ""), name


def test_a_run_and_a_folder_travel_in_every_call():
    for _, spec in specs(staged(workload(), "staged", run="r", folder="/home/me").whole):
        assert (spec["run"], spec["folder"]) == ("r", "/home/me")


def test_pixels_are_shared_by_calls_of_different_cnns():
    work = workload("vgg16", ("fc6", "vgg19.fc6", "resnet50.avg_pool"))
    calls = [spec for name, spec in specs(staged(work).calls) if name.startswith("vista_infer")]
    calls.sort(key=lambda spec: spec.get("call", 0))
    assert [spec.get("pixels_kept_for", 0) for spec in calls] == [2, 0, 0]
    assert [spec.get("pixels_taken", False) for spec in calls] == [False, True, True]


def test_skipped_images_leave_no_row():
    text = staged(workload(on_error="skip")).whole
    assert text.rstrip().endswith("IS NULL")
    assert "WHERE" not in staged(workload()).calls


def test_long_format_has_a_row_for_each_layer():
    tree = sqlglot.parse_one(staged(workload(format="long")).whole, dialect="duckdb")
    assert [c.alias_or_name for c in tree.selects] == ["id", "price", "layer", "features", "error"]


def test_the_users_texts_stand_as_they_are():
    text = "(SELECT 1 AS id,\n'a\n\n  b'::BLOB AS image)"
    images = Relation(text, {"id": "INTEGER", "image": "BLOB"})
    made = staged(workload(structured=None, images=images), plan="distinct")
    assert text in made.rows
    assert text in made.whole


@pytest.mark.parametrize("plan", ["fused", "staged", "lazy"])
def test_kernel_calls_are_data_too(plan):
    made = staged(workload(), plan)
    assert all(call.sql in made.calls for call in made.kernel_calls)
    assert {layer for call in made.kernel_calls for layer in call.spec.layers} == {"c5", "f6"}
    columns = [call.column for call in made.kernel_calls]
    for number, call in enumerate(made.kernel_calls):
        if call.spec.start is None:
            assert call.inputs[0].column == "__v_image"
        else:  # a field of what an earlier call added
            assert call.inputs[0].column in columns[:number]


def test_equal_plans_give_equal_texts():
    assert staged(workload()) == staged(workload())
