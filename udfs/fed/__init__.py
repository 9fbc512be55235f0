"""What can be fed rows: a file a kind, which holds `KIND` (see `vista_sql/fed_runs.py`)."""
