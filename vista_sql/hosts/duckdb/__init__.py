"""DuckDB in this process: its connections, its functions, its memory."""
