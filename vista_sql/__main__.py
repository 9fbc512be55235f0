"""`python -m vista_sql` is `vista`."""

from __future__ import annotations

from vista_sql.cli import main

if __name__ == "__main__":
    main()
