"""Every golden statement is rewritten (and explained) as its file says, and gives the right rows.

A file is a statement, then its staged SQL. `-- check: <query>` says what to look at where the
statement itself returns no rows. `pytest --accept` writes the files anew: read the difference.

The rows are those of the unoptimised statement, over stored tables: on every host, under every
plan, placement and a few batch sizes. Each run of the tests takes one of these ways for each
statement on each host, in turn; `-m full` takes all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import duckdb
import foods
import hosts
import pytest
from goldens import (
    ENGINE,
    EXPLAINS,
    FOLDER,
    MARK,
    MEMORY_LIMIT,
    REWRITES,
    SALT,
    TABLES,
    WRITTEN,
    output_of,
    statement_of,
)
from hosts import HOSTS, Client, Refused

from vista_sql.planning import plans
from vista_sql.session import Session
from vista_sql.sql import parse

ROOT = FOLDER.parents[1]
CHECK = re.compile(r"^-- check: (.*)$", re.MULTILINE)
every_rewrite = pytest.mark.parametrize("case", REWRITES, ids=lambda case: case.stem)


@pytest.fixture(scope="module")
def db() -> Iterator[Session]:
    with Session(duckdb.connect(), own=True, salt=SALT) as session:
        session.con.execute(f"SET VARIABLE vista_memory_limit = '{MEMORY_LIMIT}'")
        session.con.execute(f"SET VARIABLE vista_engine = '{ENGINE}'")
        fill(session.con)
        yield session


def fill(con: duckdb.DuckDBPyConnection) -> None:
    foods.fill(con)
    con.execute(TABLES)


def compare(case: Path, actual: str, accept: bool) -> None:
    if accept:
        case.write_text(f"{statement_of(case).rstrip()}{MARK}{actual}\n")
    else:
        assert actual == output_of(case)


@every_rewrite
def test_rewrite(case, accept, db):
    compare(case, db.rewrite(statement_of(case)), accept)


@pytest.mark.parametrize("case", EXPLAINS, ids=lambda case: case.stem)
def test_explain(case, accept, db):
    compare(case, db.explain(statement_of(case)), accept)


def test_every_plan_and_placement_is_shown():
    texts = "".join(case.read_text() for case in REWRITES)
    for hint in ("lazy", "eager", "staged", "fused", "distinct", "before", "after"):
        assert f"'{hint}'" in texts


# ── the rows, on every host and in every way ────────────────────────────────────────────────────


@dataclass(frozen=True)
class Way:
    """How a statement is asked to run; its own hints win."""

    plan: str
    placement: str
    batch_rows: int | None

    def settings(self) -> list[str]:
        return [
            f"SET VARIABLE vista_plan = '{self.plan}'",
            f"SET VARIABLE vista_placement = '{self.placement}'",
            f"SET VARIABLE vista_batch_rows = {self.batch_rows or 'NULL'}",
        ]


PLANNED = [*product(plans.names(), ("after", "before"))]
BATCHES = (None, 1, 2, 3, 64)  # as many as have no common divisor with the number of PLANNED

ONLY_WHOLE = {"no_alias_named_transfer": "a name for TRANSFER without an alias"}
"""What only a host that sees whole statements can run → where docs/sql_hosts.md says so."""

TIES = {"top_n"}
"""Two images of one key tie: only the first column, which the statement orders by, has an order."""


def ways(case: Path, host: str) -> Iterator[Way]:
    """Yield every way to run a statement; the first is the one whose turn it is."""
    apart = len(PLANNED) // len(HOSTS)
    turn = REWRITES.index(case) + apart * [*HOSTS].index(host)
    for number in range(turn, turn + len(PLANNED)):
        yield Way(*PLANNED[number % len(PLANNED)], BATCHES[number % len(BATCHES)])


@pytest.fixture(scope="module")
def clients(tmp_path_factory, shell):
    with hosts.clients(tmp_path_factory.mktemp("golden"), shell, fill) as opened:
        yield opened


@pytest.fixture(scope="module")
def unoptimised():
    """The rows of a golden statement over tables of what its TRANSFERs give."""
    with foods.connect() as session:
        session.con.execute(TABLES)
        yield rows_over_tables(session)


def rows_over_tables(db: Session) -> Callable[[Path], list[str]]:
    tables: dict[str, str] = {}

    def stored(found: parse.FoundCall, text: str) -> str:
        ctes = parse.visible_ctes(found)
        recursive = "RECURSIVE " if any(recursive for _, recursive in ctes) else ""
        with_ = f"WITH {recursive}{', '.join(text for text, _ in ctes)} " if ctes else ""
        query = f"{with_}SELECT * FROM {text[found.start : found.end]}"
        if query not in tables:
            tables[query] = f"whole_{len(tables)}"
            db.query(f"CREATE TABLE {tables[query]} AS {query}")
        return tables[query]

    @cache
    def rows(case: Path) -> list[str]:
        (statement,) = parse.parse(statement_of(case))
        text = statement.text
        for found in reversed(statement.calls):
            alias = "" if found.has_alias else " AS transfer"
            table = f"(FROM {stored(found, statement.text)}){alias}"
            text = text[: found.start] + table + text[found.end :]
        return rows_of(case, hosts.ConnectionClient(db.con), text)

    return rows


def rows_of(case: Path, client: Client, text: str) -> list[str]:
    """Run a statement, or another in its place; return its rows, sorted unless it orders them."""
    check = CHECK.search(statement_of(case))
    table = client.run(text)
    if check:
        table = client.run(check[1])
        for statement in WRITTEN:
            client.run(statement)
    rows = foods.texts(table.rows)
    if case.stem in TIES:
        return foods.texts([row[:1] for row in table.rows]) + sorted(rows)
    return rows if is_ordered(text) else sorted(rows)


def is_ordered(text: str) -> bool:
    """Return whether a statement has an ORDER BY at its top."""
    shorter = text
    while shorter != (shorter := re.sub(r"\([^()]*\)", "", shorter)):
        pass
    return "ORDER BY" in shorter


def run(case: Path, client: Client, way: Way) -> list[str]:
    for setting in way.settings():
        client.run(setting)
    rows = rows_of(case, client, statement_of(case))
    assert client.run(foods.LEFTOVERS).rows == []
    return rows


every_host = pytest.mark.parametrize("host", HOSTS)


@every_host
@every_rewrite
def test_rows_are_those_of_the_unoptimised_statement(
    case, host, clients, unoptimised, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # COPY writes here
    client, way = clients[host], next(ways(case, host))
    if case.stem in ONLY_WHOLE and not HOSTS[host].sees_whole_statements:
        assert ONLY_WHOLE[case.stem] in (ROOT / "docs" / "sql_hosts.md").read_text()
        with pytest.raises(Refused):
            run(case, client, way)
        return
    wanted = unoptimised(case)
    assert wanted or "empty" in case.stem
    assert run(case, client, way) == wanted, way


@pytest.mark.full
@every_host
@every_rewrite
def test_rows_are_the_same_in_every_way(case, host, clients, unoptimised, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if case.stem in ONLY_WHOLE and not HOSTS[host].sees_whole_statements:
        return  # the test above shows that it is refused
    wanted = unoptimised(case)
    for way in ways(case, host):
        assert run(case, clients[host], way) == wanted, way


@every_host
def test_every_plan_and_placement_has_its_turns_on_every_host(host):
    turns = [next(ways(case, host)) for case in REWRITES]
    assert {(way.plan, way.placement) for way in turns} == set(PLANNED)
    assert {way.batch_rows for way in turns} == set(BATCHES)
