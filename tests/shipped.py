"""The shipped queries: each runs, and returns what its header and queries/README.md say."""

from __future__ import annotations

import re
from pathlib import Path

from vista_sql import Session, queries

ROOT = Path(queries.__file__).parent
NAMES = sorted(str(file.relative_to(ROOT)) for file in ROOT.rglob("*.sql"))


def check(db: Session, name: str) -> int:
    """Run a query; return how many rows it has."""
    text = (ROOT / name).read_text()
    head = "\n".join(line for line in text.splitlines() if line.startswith("--"))
    assert head.startswith(f"-- {Path(name).stem}: ")
    assert "-- Question  " in head
    assert "-- Tables    " in head
    rows = db.query(text).arrow()
    said = head.partition("-- Columns   ")[2]
    assert said, "the header names the columns"
    places = [re.search(rf"\b{column}\b", said) for column in rows.column_names]
    assert None not in places
    listed = re.search(rf"\| `{re.escape(name)}` \|.*\| (.*) \|", (ROOT / "README.md").read_text())
    assert listed
    assert listed[1].split(", ") == rows.column_names
    return rows.num_rows
