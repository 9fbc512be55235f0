"""vista_sql."""
