"""The golden statements: each file is a statement, then what it is rewritten to or explained as."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "golden"
REWRITES = sorted(FOLDER.glob("rewrite/*.sql"))
EXPLAINS = sorted(FOLDER.glob("explain/*.txt"))
ANSWERS = FOLDER / "answers.json"
"""What planning asks of the database for all of them, and what it is told; see plannings.py."""

MARK = "\n-- output --\n"
SALT = "golden"
MEMORY_LIMIT = "4GB"
ENGINE = "tensorflow"  # texts do not depend on which are installed

TABLES = """
CREATE TABLE kept (id INTEGER, price DOUBLE, f6 FLOAT[84]);
CREATE SCHEMA my; CREATE TABLE my."More Foods" AS FROM foods
"""
"""What the statements read and write, beside the tables of foods.py."""

WRITTEN = ("DROP TABLE IF EXISTS made", "DELETE FROM kept")
"""Undoes what the statements write."""


def statement_of(case: Path) -> str:
    """Return the statement of a file."""
    return case.read_text().partition(MARK)[0]


def output_of(case: Path) -> str:
    """Return what a file says its statement becomes."""
    return case.read_text().partition(MARK)[2].rstrip("\n")
