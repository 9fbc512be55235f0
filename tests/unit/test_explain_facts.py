"""A plan's facts, and the text that is laid out from them and from nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from workloads import choose, work

from vista_sql import roster
from vista_sql.kernels import EXPLANATION, Fact, MeasureSpec
from vista_sql.planning import explain
from vista_sql.planning.plans import Infer, Pool, Sort
from vista_sql.planning.script import Script
from vista_sql.planning.workload import Facts
from vista_sql.sql.needs import Needs

FEW = Facts(rows=1200, images=1100, distinct_images=1000, image_rows=1000, image_bytes=5e4)
LENET5 = roster.load("lenet5")
C1, C5, F6 = (LENET5.layer(name) for name in ("c1", "c5", "f6"))


def transfer(**given):
    """Return a planned TRANSFER, as far as it is explained."""
    hinted = {name: given.pop(name) for name in ("plan", "placement") if name in given}
    workload = work(**given)
    plan = choose(workload, **hinted)
    return SimpleNamespace(workload=workload, plan=plan, is_apart=False)


def facts(*transfers):
    return list(explain.facts(Script("SELECT 1", transfers)))


def render(*transfers):
    return explain.render(Script("SELECT 1", transfers))


def of(rows, topic):
    return {fact.item: fact for fact in rows if fact.topic == topic}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"facts": FEW},
        {"facts": replace(FEW, exact=False)},
        {"plan": "lazy", "placement": "before", "facts": FEW},
        {"weights": "random", "seed": 7},
        {"resize": "bicubic", "fit": "crop"},
        {"needs": Needs(columns=frozenset(), predicates=("a > 1",), cuts=("semi",), limit=3)},
    ],
)
def test_text_is_laid_out_from_the_facts_alone(given):
    transfers = [transfer(**given), transfer()]
    travelled = MeasureSpec.from_text(MeasureSpec(tuple(facts(*transfers)), "", "").to_text())
    text = explain.render(Script("SELECT 1", transfers))
    assert explain.planned(travelled.facts) == text
    assert text.count("TRANSFER ") == 2
    assert text.endswith("\n\nstaged SQL\nSELECT 1;")


def test_facts_are_numbered_by_transfer():
    rows = facts(transfer(), transfer())
    assert [number for number in (1, 2, None) for fact in rows if fact.transfer == number] == [
        fact.transfer for fact in rows
    ]
    assert rows[-1] == Fact(topic="sql", item="rewritten", detail="SELECT 1;")


def test_the_chosen_candidate_says_why_and_the_others_why_not():
    many = transfer(facts=Facts(rows=100_000, images=100_000, distinct_images=99_000))
    rows = facts(many)
    candidates = of(rows, "candidate")
    (chosen,) = (fact for fact in candidates.values() if fact.chosen)
    plan = of(rows, "decision")["plan"]
    assert (chosen.item, chosen.why) == (plan.detail, plan.why)
    assert candidates["fused"].why == "infers some images again"
    shown = render(many).splitlines()
    (line,) = (line for line in shown if line.startswith("      fused  "))
    assert line.endswith(", infers some images again")
    (line,) = (line for line in shown if line.startswith("    → "))
    assert line.endswith(" layers")
    assert {fact.item for fact in rows if fact.topic == "candidate"} >= {"fused before the join"}


def test_counted_data_is_exact_or_about():
    rows = of(facts(transfer(facts=FEW)), "data")
    assert {item: fact.value for item, fact in rows.items()} == {
        "rows": 1200,
        "images": 1100,
        "distinct images": 1000,
    }
    assert [fact.why for fact in rows.values()] == [None, None, None]
    assert "  rows: 1,200; distinct images: 1,000\n" in render(transfer(facts=FEW))
    inexact = transfer(facts=replace(FEW, exact=False))
    assert of(facts(inexact), "data")["distinct images"].why == "equal bytes are not looked for"
    assert "  rows: 1,200; distinct images: about 1,000\n" in render(inexact)
    assert of(facts(transfer()), "data") == {}


def needing(**given):
    return transfer(needs=Needs(columns=frozenset({"conv4_6"}), **given))


@pytest.mark.parametrize(
    ("given", "clauses", "line"),
    [
        ({}, [("nothing", None)], "nothing"),
        ({"predicates": ("a > 1", "b")}, [("WHERE", "a > 1 AND b")], "WHERE a > 1 AND b"),
        ({"limit": 3}, [("LIMIT", "3")], "LIMIT 3"),
        (
            {"order": ("a", "b DESC"), "limit": 3, "qualify": "q"},
            [("QUALIFY", "q"), ("ORDER BY", "a, b DESC LIMIT 3")],
            "QUALIFY q ORDER BY a, b DESC LIMIT 3",
        ),
        ({"sample": "USING SAMPLE 3 ROWS"}, [("USING", "SAMPLE 3 ROWS")], "USING SAMPLE 3 ROWS"),
    ],
)
def test_what_runs_below_inference(given, clauses, line):
    rows = of(facts(needing(**given)), "below inference")
    assert [(item, fact.detail) for item, fact in rows.items()] == clauses
    assert f"  below inference: {line}\n" in render(needing(**given))


def test_semi_joins_stand_with_the_rows_and_not_with_the_plan():
    cut = '"id" IN (SELECT …): keeps 3 of 4 rows'
    lines = render(needing(cuts=(cut,))).splitlines()
    assert lines[3] == f"  semi-join: {cut}"
    assert sum("semi-join" in line for line in lines) == 1


def test_a_statement_that_uses_no_layer_infers_nothing():
    unused = transfer(needs=Needs(columns=frozenset()))
    text = render(unused)
    assert "  layers computed: none\n" in text
    assert "  stages:\n    nothing is inferred\n  per image: 0 FLOP; peak: 0 B" in text
    assert "in all" not in text
    assert of(facts(unused), "candidate") == {}


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (Sort(), "sort rows by image"),
        (Pool(C1), "pool c1 (gap) to 6 values"),
        (Infer(None, (C5, F6), "features"), "infer image → c5, f6 as features"),
        (Infer(C5, (F6,), "features"), "infer c5 → f6 as features"),
        (Infer(None, (F6,), "maps", "vgg16"), "infer vgg16: image → f6 as maps"),
        (
            Infer(None, (F6,), "features", base=C1, materialize=(C5, F6)),
            "infer stored c1, else image → f6 as features; keep raw maps of c5, f6",
        ),
    ],
)
def test_stages_are_described(stage, text):
    assert explain.describe(stage, "gap") == text


def test_stages_are_numbered_in_their_order():
    staged = transfer(plan="staged", placement="after", facts=FEW)
    stages = of(facts(staged), "stage")
    assert list(stages) == [str(n) for n in range(1, len(staged.plan.chosen.stages) + 1)]
    assert f"    2. {stages['2'].detail}\n" in render(staged)


def test_columns_of_facts_have_the_types_of_their_values():
    python = {
        "INTEGER": int,
        "BIGINT": int,
        "BOOLEAN": bool,
        "VARCHAR": str,
        "DOUBLE": (int, float),
    }
    for fact in facts(transfer(facts=FEW, weights="random")):
        for name, kind in EXPLANATION.items():
            value = getattr(fact, name)
            assert value is None or isinstance(value, python[kind]), name


def test_what_was_measured_needs_no_stage_of_a_certain_name():
    """Statements measured by other kernels may have other stages, or none."""
    assert explain.measured([]) == "measured\n  beside each other"
    work_alone = [Fact(topic="work", item="think", actual_seconds=1.0, detail="hard")]
    assert explain.measured(work_alone).splitlines()[1:] == [
        "  beside each other",
        "    think                    1.000 s          hard",
    ]
