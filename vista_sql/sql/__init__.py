"""A statement's text: parsed, resolved, read, edited. The only place that knows sqlglot."""
