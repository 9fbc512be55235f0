"""A network as data, and what runs it."""
