"""A TRANSFER in a query's text gets one more layer, which every SELECT above passes on."""

import pytest

from vista_sql.errors import QueryError
from vista_sql.sql.widen import widened

CALL = "TRANSFER(cnn => 'lenet5', images => 'i', structured => 's')"


def wide(text):
    return widened(text, "hog", lambda call: ["conv3", "fc6"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"SELECT * FROM {CALL}",
            "SELECT * FROM TRANSFER(cnn => 'lenet5', images => 'i', structured => 's', "
            "layers => ['conv3', 'fc6', 'hog'])",
        ),
        (
            "FROM TRANSFER('lenet5', ['pool2'])",
            "SELECT * FROM TRANSFER('lenet5', ['pool2', 'hog'])",
        ),
        (
            "SELECT id, f.fc6 FROM TRANSFER('lenet5', layers := -1) AS f WHERE y > 1",
            'SELECT id, f.fc6, "f"."hog" FROM TRANSFER(\'lenet5\', '
            "layers := ['conv3', 'fc6', 'hog']) AS f WHERE y > 1",
        ),
        (
            "SELECT id FROM TRANSFER('lenet5', layers => ['HOG', 'fc6'], prefix => 'x_')",
            "SELECT id, \"transfer\".\"x_hog\" FROM TRANSFER('lenet5', layers => ['HOG', 'fc6'], "
            "prefix => 'x_')",
        ),
        (
            "SELECT a, b FROM (SELECT *, 1 AS a FROM TRANSFER('lenet5', 'fc6')) AS q JOIN r ON x",
            'SELECT a, b, "q"."hog" FROM (SELECT *, 1 AS a FROM TRANSFER(\'lenet5\', '
            "['fc6', 'hog'])) AS q JOIN r ON x",
        ),
        (
            "WITH f AS (SELECT id, fc6 FROM TRANSFER('lenet5', 'fc6')) SELECT d.*, fc6 "
            "FROM d JOIN f ON d.id = f.id",
            'WITH f AS (SELECT id, fc6, "transfer"."hog" FROM TRANSFER(\'lenet5\', '
            "['fc6', 'hog'])) SELECT d.*, fc6, \"f\".\"hog\" FROM d JOIN f ON d.id = f.id",
        ),
    ],
)
def test_the_layer_comes_through(text, expected):
    found, column = wide(text)
    assert found == expected
    assert column == ("x_hog" if "x_" in text else "hog")
    assert wide(found) == (found, column)  # a second time adds nothing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digits", "there is none"),
        ("SELECT * FROM digits", "there is none"),
        (f"SELECT max(fc6[1]) AS m FROM {CALL}", "combines its rows"),
        (f"SELECT DISTINCT id FROM {CALL}", "combines its rows"),
        (f"SELECT id FROM {CALL} GROUP BY id", "combines its rows"),
        (f"SELECT * FROM {CALL} UNION ALL SELECT * FROM t", "do not come through"),
        (f"SELECT * FROM t WHERE id IN (SELECT id FROM {CALL})", "do not come through"),
        (f"WITH f AS (FROM {CALL}) SELECT * FROM f JOIN f AS g ON f.id = g.id", "is read 2 times"),
        ("SELECT * FROM TRANSFER(cnn => 'lenet5', format => 'long')", "is not 'wide'"),
        (
            "SELECT * FROM TRANSFER(cnn => 'lenet5', layers => getvariable('x'))",
            "are GETVARIABLE('x'), not written out",
        ),
    ],
)
def test_what_cannot_come_through_is_told(text, message):
    with pytest.raises(QueryError) as caught:
        wide(text)
    assert message in str(caught.value)
