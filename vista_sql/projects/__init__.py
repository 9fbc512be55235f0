"""A project: a folder of pictures and a table of labels → a database, and query files on it.

`labels` finds the picture that each row of a table is about, `networks` a CNN whose weights are
here, `query_files` writes the statements. Nothing is inferred here.
"""

from __future__ import annotations

from vista_sql.projects.labels import Labels, Pictures
from vista_sql.projects.networks import Network
from vista_sql.projects.written import MODEL, Project, QueryFilesError

__all__ = ["MODEL", "Labels", "Network", "Pictures", "Project", "QueryFilesError"]
