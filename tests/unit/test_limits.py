"""LIMIT, ranks and SAMPLE of a statement as those of a TRANSFER's rows."""

# ruff: noqa: E501 - a case is a line

from __future__ import annotations

import pytest
from needed import needs_of


@pytest.mark.parametrize(
    ("text", "limit", "order"),
    [
        ("SELECT fc6 FROM {T} LIMIT 3", 3, ()),
        ("SELECT fc6 FROM {T} LIMIT 3 OFFSET 2", 5, ()),
        ("SELECT fc6 FROM {T} WHERE price < 3 ORDER BY price DESC, id + 1 LIMIT 3", 3, ('"price" DESC', '"id" + 1')),
        ("SELECT fc6, -price AS price FROM {T} ORDER BY price LIMIT 3", 3, ('-"price"',)),
        ("SELECT fc6, price FROM {T} ORDER BY 2 LIMIT 3", 3, ('"price"',)),
        ("SELECT fc6 FROM (SELECT fc6, price AS p FROM {T}) ORDER BY p LIMIT 3", 3, ('"price"',)),
        ("WITH w AS (SELECT * FROM {T} WHERE id > 1) SELECT fc6 FROM w LIMIT 3", 3, ()),
        ("SELECT fc6 FROM {T} ORDER BY fc6 LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} ORDER BY ALL LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} ORDER BY random() LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} WHERE fc6[1] > 0 LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} WHERE #1 > 0 LIMIT 3", None, ()),
        ("SELECT fc6 FROM {T} LIMIT 30%", None, ()),
        ("SELECT fc6 FROM {T} LIMIT (1 + 2)", None, ()),
        ("SELECT DISTINCT id FROM {T} LIMIT 3", None, ()),
        ("SELECT max(id) FROM {T} LIMIT 3", None, ()),
        ("SELECT my_macro(id) FROM {T} LIMIT 3", None, ()),
        ("SELECT unnest(tags) FROM {T} LIMIT 3", None, ()),
        ("SELECT id FROM (SELECT id, unnest(tags) AS u FROM {T}) LIMIT 3", None, ()),
        ("SELECT id, count(*) OVER () FROM {T} LIMIT 3", None, ()),
        ("SELECT id FROM {T} QUALIFY rank() OVER (ORDER BY id) = 1 LIMIT 3", None, ()),
        ("SELECT id FROM {T} GROUP BY id LIMIT 3", None, ()),
        ("SELECT t.id FROM {T} AS t, o LIMIT 3", None, ()),
        ("SELECT id FROM {T} UNION ALL SELECT id FROM o LIMIT 3", None, ()),
        ("SELECT id FROM (SELECT * FROM {T} ORDER BY fc6) LIMIT 3", None, ()),
    ],
)  # fmt: skip
def test_limit(text, limit, order):
    (found,) = needs_of(text)
    assert (found.limit, found.order) == (limit, order)
    (skipping,) = needs_of(text, one_row_each=False)
    assert skipping.limit is None


FIRST = 'ROW_NUMBER() OVER (PARTITION BY "Name" ORDER BY "price") <= 1'
RN = "row_number() OVER (PARTITION BY name ORDER BY price)"


@pytest.mark.parametrize(
    ("text", "qualify"),
    [
        (f"SELECT fc6 FROM {{T}} QUALIFY {RN} = 1", FIRST),
        (f"SELECT fc6, {RN} AS r FROM {{T}} WHERE id > 3 QUALIFY r < 2 LIMIT 5", FIRST),
        (f"SELECT fc6 FROM (SELECT *, {RN} AS r FROM {{T}}) WHERE r = 1", FIRST),
        (f"WITH x AS (SELECT fc6, {RN} AS r FROM {{T}}) SELECT x.fc6 FROM x JOIN o ON o.price < x.fc6[1] AND x.r <= 1", FIRST),
        ("SELECT fc6 FROM {T} QUALIFY rank() OVER (ORDER BY price DESC) <= 3", 'RANK() OVER (ORDER BY "price" DESC) <= 3'),
        (f"SELECT fc6 FROM {{T}} QUALIFY {RN} = 2", None),
        (f"SELECT fc6 FROM {{T}} QUALIFY {RN} >= 1", None),
        (f"SELECT fc6 FROM {{T}} WHERE fc6[1] > 0 QUALIFY {RN} = 1", None),
        (f"SELECT fc6, count(*) OVER () AS n FROM {{T}} QUALIFY {RN} = 1", None),
        (f"SELECT name, count(*) AS n FROM {{T}} GROUP BY name, price QUALIFY {RN} = 1", None),
        (f"SELECT t.fc6, unnest(tags) FROM {{T}} AS t QUALIFY {RN} = 1", None),
        ("SELECT fc6 FROM {T} QUALIFY row_number() OVER (PARTITION BY name ORDER BY fc6) = 1", None),
        ("SELECT fc6 FROM {T} QUALIFY row_number() OVER (ORDER BY random()) = 1", None),
        ("SELECT fc6 FROM {T} QUALIFY ntile(3) OVER (ORDER BY price) = 1", None),
        (f"SELECT t.fc6 FROM {{T}} AS t JOIN o ON t.id = o.id QUALIFY {RN.replace('price', 't.price')} = 1", None),
        (f"SELECT fc6 FROM (SELECT *, {RN} AS r FROM {{T}}) TABLESAMPLE 5 ROWS WHERE r = 1", None),
        (f"SELECT o.label FROM o LEFT JOIN (SELECT *, {RN} AS r FROM {{T}}) AS x ON x.id = o.id WHERE x.r = 1 OR x.r IS NULL", None),
    ],
)  # fmt: skip
def test_ranks(text, qualify):
    (found,) = needs_of(text)
    assert found.qualify == qualify
    (skipping,) = needs_of(text, one_row_each=False)
    assert skipping.qualify is None


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("SELECT fc6 FROM {T} USING SAMPLE 10%", "TABLESAMPLE BERNOULLI(10 PERCENT)"),
        ("SELECT fc6 FROM {T} AS t TABLESAMPLE 10%", "TABLESAMPLE BERNOULLI(10 PERCENT)"),
        ("SELECT fc6 FROM {T} USING SAMPLE 10% (system, 7)", "TABLESAMPLE BERNOULLI(10 PERCENT) REPEATABLE (7)"),
        ("SELECT fc6 FROM {T} USING SAMPLE 10", None),
        ("SELECT fc6 FROM {T} AS t, o USING SAMPLE 10%", None),
        ("SELECT fc6 FROM (SELECT * FROM {T}) USING SAMPLE 10%", None),
        ("SELECT max(fc6) FROM {T} USING SAMPLE 10%", None),
    ],
)  # fmt: skip
def test_sample(text, sample):
    (found,) = needs_of(text)
    assert found.sample == sample
