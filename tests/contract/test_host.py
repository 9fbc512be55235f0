"""What every host does: TRANSFER and VISTA_* in its statements, settings, transactions, errors.

A host is an entry of HOSTS in tests/hosts.py; what it can do is stated there and shown here.
"""

from __future__ import annotations

import foods
import hosts
import pytest
import sqlglot
from hosts import HOSTS, OTHER_DIALECTS, Refused

from vista_sql import hosts as package
from vista_sql.hosts import Host
from vista_sql.hosts.binding import Binder
from vista_sql.hosts.duckdb.in_process import InProcess
from vista_sql.hosts.duckdb.process import process
from vista_sql.planning.context import Context, FreshNames
from vista_sql.planning.planner import plan
from vista_sql.settings import Settings
from vista_sql.sql.parse import parse

CALL = "TRANSFER(cnn => 'lenet5', layers => ['f6'], structured => 'foods')"
every_host = pytest.mark.parametrize("host", HOSTS)


@pytest.fixture(scope="module")
def clients(tmp_path_factory, shell):
    with hosts.clients(tmp_path_factory.mktemp("hosts"), shell, foods.fill) as opened:
        yield opened


@pytest.fixture
def client(host, clients):
    yield clients[host]
    assert clients[host].run(foods.LEFTOVERS).rows == []


KINDS = {kind.name: kind for kind in package.kinds()}


def test_every_host_of_the_package_is_here():
    assert KINDS.keys() == {*HOSTS, *OTHER_DIALECTS}, "give it an entry in tests/hosts.py"


@every_host
def test_what_a_host_can_do_is_stated(host):
    kind = KINDS[host]
    assert kind.meaning
    able = kind.capabilities
    assert sqlglot.Dialect.get_or_raise(able.dialect.name)
    assert able.dialect.identifier("a") == f"{able.dialect.quote}a{able.dialect.quote}"
    assert able.call_rows(7) == (7 if able.small_batches else able.vector_rows)
    assert able.sink == "rows"  # until a statement says more
    # rows that the host hands out are read before the statement is bound: it sees the whole
    assert able.small_batches == HOSTS[host].sees_whole_statements


def script_of(host):
    (statement,) = parse(f"SELECT name, f6 FROM {CALL} ORDER BY name")
    settings = Settings({"vista_store": False}, {})
    context = Context(settings, "home", host.capabilities, FreshNames("salt"))
    return plan(statement, host.database, context)


def test_hosts_are_asked_and_run_scripts(tmp_path):
    """The protocol itself, where rows come back and where an engine binds what comes back."""
    with foods.connect() as session:
        whole: Host = InProcess(session.con, str(tmp_path))
        rows = whole.run(script_of(whole)).fetchall()
        bound: Host = Binder(
            str(tmp_path), "salt", KINDS["connection"].capabilities, process().runtime
        )
        text = bound.run(script_of(bound))
        assert foods.sorted_rows(session.con.sql(text).fetchall()) == foods.sorted_rows(rows)
        assert bound.database.columns("SELECT 1") is None
        assert whole.database.columns("SELECT 1 AS a") == {"a": "INTEGER"}


@every_host
def test_rows_have_names_and_order(client):
    table = client.run(
        f"SELECT name, len(f6) AS n, error FROM {CALL} WHERE price < 3 ORDER BY name"
    )
    assert table.columns == ("name", "n", "error")
    assert table.rows == [
        ("apple", 84, None),
        ("bread", 84, None),
        ("fig%", 84, None),
        (None, 84, None),
    ]


@every_host
def test_images_that_cannot_be_read_are_told(client):
    text = f"SELECT id, f6 IS NULL AS missing, error FROM {CALL} WHERE id = 4"
    ((key, missing, error),) = client.run(text).rows
    assert (key, missing, error) == (4, True, "not an image (6 bytes)")


@every_host
def test_on_request_they_end_the_statement(client):
    text = f"SELECT id, f6 FROM {CALL[:-1]}, on_error => 'raise')"
    with pytest.raises(Refused, match="image of key '4' cannot be read"):
        client.run(text)
    assert client.run("SELECT 1 AS one").rows == [(1,)]


@every_host
def test_errors_are_the_same_sentence(client):
    with pytest.raises(Refused, match="unknown layer 'f9' in cnn 'lenet5'; did you mean 'f6'"):
        client.run("SELECT f9 FROM TRANSFER(cnn => 'lenet5', layers => ['f9'])")


@every_host
def test_settings_of_the_connection_count(client):
    client.run("SET VARIABLE vista_memory_limit = '1MB'")
    with pytest.raises(Refused, match="SET VARIABLE vista_memory_limit"):
        client.run(f"SELECT f6 FROM {CALL}")
    client.run("SET VARIABLE vista_memory_limit = NULL")
    assert len(client.run(f"SELECT f6 FROM {CALL}").rows) == 12


@every_host
def test_plans_are_chosen_by_settings_and_told(client):
    client.run("SET VARIABLE vista_plan = 'staged'")
    client.run("SET VARIABLE vista_placement = 'before'")
    client.run(f"SELECT f6 FROM {CALL}")
    assert client.run("SELECT plan FROM VISTA_RUNS() ORDER BY run_id DESC LIMIT 1").rows == [
        ("staged/before",)
    ]
    client.run("SET VARIABLE vista_plan = NULL")
    client.run("SET VARIABLE vista_placement = NULL")


@every_host
def test_a_transaction_sees_its_own_rows(client):
    few = f"SELECT id FROM {CALL.replace('foods', 'few')} ORDER BY id"
    client.run("BEGIN")
    client.run("CREATE TABLE few AS SELECT id FROM foods WHERE id IN (1, 2)")
    client.run("INSERT INTO few VALUES (9)")
    assert client.run(few).rows == [(1,), (2,), (9,)]
    client.run("ROLLBACK")
    with pytest.raises(Refused, match="few"):
        client.run(few)


@every_host
def test_tables_are_made_of_features(client):
    client.run(f"CREATE TABLE made AS SELECT id, f6 FROM {CALL} WHERE price < 3")
    client.run(f"INSERT INTO made SELECT id, f6 FROM {CALL} WHERE price = 9")
    assert client.run("SELECT id, len(f6) AS n FROM made ORDER BY id").rows == [
        (0, 84),
        (1, 84),
        (2, 84),
        (5, 84),
        (9, 84),
    ]
    client.run("DROP TABLE made")


@every_host
def test_statements_are_explained(client):
    rows = client.run(f"SELECT DISTINCT topic FROM VISTA_EXPLAIN($$SELECT f6 FROM {CALL}$$)").rows
    assert {"candidate", "sql"} <= {topic for (topic,) in rows}


@every_host
def test_what_a_host_sees_of_a_statement_is_what_it_says(client, host):
    client.run(f"SELECT f6 FROM {CALL} ORDER BY price LIMIT 2")
    ((images,),) = client.run("SELECT images FROM VISTA_RUNS() ORDER BY run_id DESC LIMIT 1").rows
    assert (images == 2) == HOSTS[host].sees_whole_statements, "top-n goes below inference"
