"""The shipped queries: each runs, and returns what its header and queries/README.md say."""

from __future__ import annotations

import re
from pathlib import Path

from vista_sql import Session, queries, query_files

ROOT = Path(queries.__file__).parent
NAMES = sorted(str(file.relative_to(ROOT)) for file in ROOT.rglob("*.sql"))


def sql(name: str, **variables: str) -> str:
    """Return the SELECT of a query."""
    return query_files.read([ROOT / name], variables)[0].render(Path(name).stem)


def check(db: Session, name: str, **variables: str) -> int:
    """Run a query; return how many rows it has."""
    text = (ROOT / name).read_text()
    head = "\n".join(line for line in text.splitlines() if line.startswith("--"))
    assert head.startswith(f"-- {Path(name).stem}: ")
    assert "-- Question  " in head
    assert "-- Tables    " in head
    rows = db.query(sql(name, **variables)).arrow()
    said = head.partition("-- Columns   ")[2]
    assert said, "the header names the columns"
    places = [re.search(rf"\b{column}\b", said) for column in rows.column_names]
    assert None not in places
    listed = re.search(rf"\| `{re.escape(name)}` \|.*\| (.*) \|", (ROOT / "README.md").read_text())
    assert listed
    assert listed[1].split(", ") == rows.column_names
    return rows.num_rows
