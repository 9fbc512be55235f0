"""How columns travel: as they are, as text, or not at all."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vista_sql.planning.travel import _AS_TEXT, way

SCALARS = st.sampled_from(["INTEGER", "VARCHAR", "BLOB", "DECIMAL(9,2)", "DOUBLE", "UUID", "DATE"])
NAMES = st.sampled_from(["a", "b c", 'q"t', "uuid", "k,(", "INTEGER"])


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


TYPES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        inner.map(lambda kind: f"{kind}[]"),
        inner.map(lambda kind: f"{kind}[3]"),
        st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(
            lambda fields: f"STRUCT({', '.join(f'{quoted(n)} {t}' for n, t in fields.items())})"
        ),
        st.tuples(st.sampled_from(["INTEGER", "VARCHAR"]), inner).map(
            lambda pair: f"MAP({pair[0]}, {pair[1]})"
        ),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as con:
        yield con


@settings(deadline=None)
@given(kind=TYPES)
def test_what_is_made_of_what_survives_survives(kind, con):
    ((shown,),) = con.execute(f"SELECT typeof(CAST(NULL AS {kind}))").fetchall()
    nested = (shown.endswith(("]", ")")) and not shown.startswith("DECIMAL(9,2)")) or "(" in shown
    unsafe = any(name in kind.replace('"uuid"', "") for name in ("UUID", "DATE"))
    if not unsafe:
        assert way(shown) == "as it is"
    elif shown in ("UUID", "DATE"):
        assert way(shown) == "as text"
    else:
        assert nested
        assert way(shown) == "not at all"


@pytest.mark.parametrize("kind", sorted(_AS_TEXT))
def test_types_that_travel_as_text_have_these_names(kind, con):
    assert con.execute(f"SELECT typeof(CAST(NULL AS {kind}))").fetchall() == [(kind,)]


@pytest.mark.parametrize(
    "kind", ["mood", "TIMESTAMP WITH TIME ZONE", "UNION(a INTEGER)", "GEOMETRY", ""]
)
def test_what_is_not_known_to_survive_does_not_travel(kind):
    assert way(kind) == "not at all"
