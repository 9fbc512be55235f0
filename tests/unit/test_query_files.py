"""Query files: what a project is, what each file needs, and the SQL that it becomes."""

from pathlib import Path

import pytest

from vista_sql import query_files
from vista_sql.errors import QueryError, UnknownNameError, VistaError
from vista_sql.query_files import materializations


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that writes files (name → text) and reads them as one project."""
    monkeypatch.chdir(tmp_path)

    def write(files, **variables):
        for name, text in files.items():
            path = Path("models", f"{name}.sql")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return query_files.read([Path("models")], variables)[0]

    return write


def test_files_come_after_what_they_need(project):
    made = project(
        {
            "a": "SELECT * FROM {{ ref('c') }}",
            "b": "SELECT 1 AS x",
            "c": "SELECT 1\n-- depends_on: {{ ref('b') }}",
            "d": "SELECT 1 {% if is_incremental() %} FROM {{ ref('a') }} {% endif %}",
        }
    )
    assert made.names == ("a", "b", "c", "d")
    assert made.ordered(made.names) == ("b", "c", "a", "d")
    assert made.ordered(["a", "b"]) == ("b", "a")  # through c, which is not asked for
    assert made.needed_by("a") == {"b", "c"}
    for wanted, found in {
        ("a",): ("a",),
        ("+a",): ("a", "b", "c"),
        ("c+",): ("a", "c", "d"),
        ("b", "d"): ("b", "d"),
    }.items():
        assert made.select(wanted, made.names) == found


def test_jinja_means_what_it_means_in_dbt(project, monkeypatch):
    monkeypatch.setenv("VISTA_TEST", "there")
    text = """{{ config(materialized='incremental', unique_key='id', alias='kept', tags=['x']) }}
{% set columns = ['a', 'b'] %}
SELECT {% for c in columns %}{{ c }}, {% endfor %}{{ var('n') }}, {{ var('m', 2) }} AS m, '{{
env_var('VISTA_TEST') }}' AS e FROM {{ source('raw', 'Images') }}
{%- if is_incremental() %} WHERE id > (SELECT max(id) FROM {{ this }}){% endif %};
"""
    made = project({"features": text}, n=7)
    lines = made.render("features").splitlines()
    assert lines == [
        "",
        "",
        'SELECT a, b, 7, 2 AS m, \'there\' AS e FROM "raw"."Images"',
    ]
    assert made.render("features", incremental=True).endswith(
        ' WHERE id > (SELECT max(id) FROM "kept")'
    )
    file = made.file("features")
    assert (file.materialized, file.unique_key) == ("incremental", ("id",))
    assert [str(one) for one in (file.relation, *file.sources)] == ['"kept"', '"raw"."Images"']


def test_ephemeral_files_become_ctes(project):
    ephemeral = "{{ config(materialized='ephemeral') }}"
    made = project(
        {
            "a": f"{ephemeral}SELECT 1 AS x;",
            "b": f"{ephemeral}SELECT x + 1 AS x FROM {{{{ ref('a') }}}}",
            "c": "-- a comment\nSELECT * FROM {{ ref('b') }}",
            "d": "WITH RECURSIVE q AS (FROM {{ ref('a') }}) SELECT * FROM q",
        }
    )
    assert made.render("c") == (
        '-- a comment\nWITH "__dbt__cte__a" AS (\nSELECT 1 AS x\n), "__dbt__cte__b" AS (\n'
        'SELECT x + 1 AS x FROM "__dbt__cte__a"\n)\nSELECT * FROM "__dbt__cte__b"'
    )
    assert made.render("d").startswith(
        'WITH RECURSIVE "__dbt__cte__a" AS (\nSELECT 1 AS x\n), q AS'
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "SELECT * FROM {{ ref('imagse') }}",
            "unknown query file 'imagse'; did you mean 'images'?",
        ),
        ("SELECT {{ var('day') }}", "models/it.sql: var 'day' has no value: give --var day=VALUE"),
        ("SELECT {{ env_var('NO_SUCH') }}", "models/it.sql: the environment has no NO_SUCH"),
        ("SELECT {{ dbt_utils.star() }}", "'dbt_utils' is undefined; there is ref, source, var"),
        ("SELECT\n{% if %}", "models/it.sql: Expected an expression"),
        ("SELECT {{ ref(7, 8, 9)[0] }}", "models/it.sql: "),
        (
            "{{ config(materialized='tabel') }} SELECT 1",
            "'tabel' in models/it.sql; did you mean 'tab",
        ),
        (
            "{{ config(post_hook='x') }} SELECT 1",
            "models/it.sql: the config 'post_hook' of it is dbt's",
        ),
        ("{{ config(unique='x') }} SELECT 1", "config 'unique' in models/it.sql; did you mean"),
        ("{{ config(incremental_strategy='merge') }} SELECT 1", "incremental strategy 'merge'"),
        ("{{ config(incremental_strategy='delete+insert') }} SELECT 1", "needs a unique_key"),
        ("SELECT 1; SELECT 2", "must hold one SELECT, but this one 2 statements"),
        ("CREATE TABLE x AS SELECT 1", "must hold one SELECT, but this one CREATE"),
        ("-- nothing", "must hold one SELECT, but this one nothing"),
        ("SELECT * FROM {{ ref('off') }}", "it needs off, which config(enabled=…) turns off"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(project, text, told):
    made = project({"it": text, "images": "SELECT 1", "off": "{{ config(enabled=false) }}SELECT 1"})
    with pytest.raises(QueryError) as caught:
        made.render("it")
    assert told in str(caught.value)


def test_an_unknown_reference_is_underlined(project):
    made = project({"it": "SELECT 1\nFROM {{ ref('nothing') }}"})
    with pytest.raises(UnknownNameError) as caught:
        made.file("it")
    assert caught.value.place.text[caught.value.place.start :].startswith("nothing')")


def test_circles_are_named(project):
    made = project({n: f"SELECT * FROM {{{{ ref('{m}') }}}}" for n, m in ("ab", "bc", "ca")})
    with pytest.raises(QueryError, match=r"in a circle: [abc] → [abc] → [abc] → [abc]$"):
        made.ordered(["a"])


def test_a_project_is_the_folder_with_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("models/a.sql", "models/sub/b.SQL", "target/a.sql", "macros/m.sql", ".x/h.sql"):
        Path("p", name).parent.mkdir(parents=True, exist_ok=True)
        Path("p", name).write_text("SELECT 1")
    Path("p/dbt_project.yml").write_text("name: p")
    project, chosen = query_files.read([Path("p/models/sub")], {})
    assert (project.names, chosen) == (("a", "b"), ("b",))
    assert project.file("a").path == Path("p/models/a.sql")
    Path("p/dbt_project.yml").unlink()
    with pytest.raises(VistaError, match="two query files are called 'a'"):
        query_files.read([Path("p")], {})
    project, chosen = query_files.read([Path("p/models/a.sql")], {})
    assert (project.names, chosen) == (("a",), ("a",))
    Path("empty").mkdir()
    for path, told in (("empty", "no query file"), ("gone", "no file or folder gone")):
        with pytest.raises(VistaError, match=told):
            query_files.read([Path(path)], {})


def test_a_table_that_a_file_reads_is_never_replaced(project):
    made = project(
        {
            "digits": "SELECT * FROM Digits",
            "raw": "SELECT * FROM {{ source('main', 'raw') }}",
            "images": "SELECT * FROM TRANSFER(cnn => 'lenet5', images => 'images')",
        }
    )
    for name in made.names:
        with pytest.raises(QueryError, match="it would replace"):
            materializations.statements(made.file(name), made.render(name), None)


def test_what_jinja_raises_names_the_file_and_no_python_of_ours(project):
    texts = ["{{ 1 / 0 }}", "{{ ref() }}", "{{ source('a') }}", "{{ ref(5) }}", "{{ 'a' + 5 }}"]
    made = project({f"f{i}": text for i, text in enumerate(texts)})
    for name, error in made.broken(made.names).items():
        assert "<locals>" not in str(error)
        assert f"models/{name}.sql" in str(error) or "unknown query file '5'" in str(error)
    assert len(made.broken(made.names)) == len(texts)


def test_two_files_never_become_one_table(project):
    made = project(
        {
            "a": "SELECT 1 AS x",
            "b": "{{ config(alias='A') }}SELECT 2 AS x",
            "c": "{{ config(alias='a', schema='s') }}SELECT 3 AS x",
            "d": "{{ config(alias='a', materialized='ephemeral') }}SELECT 4 AS x",
            "e": "{{ config(alias='a', enabled=false) }}SELECT 5 AS x",
        }
    )
    for asked in (made.names, ("b",)):
        wrong = made.broken(asked)
        assert wrong.keys() == {"a", "b"} & set(asked)
        assert "models/b.sql: it becomes" in str(wrong["b"])
        assert "as does models/a.sql" in str(wrong["b"])


@pytest.mark.parametrize(
    "config",
    ["tags=5", "alias=['a']", "unique_key=5", "enabled='false'", "tags=['a', 1]", "schema=1.5"],
)
def test_a_config_of_another_kind_is_named(project, config):
    made = project({"it": f"{{{{ config({config}) }}}}SELECT 1 AS x"})
    (error,) = made.broken(("it",)).values()
    assert f"models/it.sql: the config '{config.split('=')[0]}' must be" in str(error)
