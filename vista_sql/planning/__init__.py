"""Statement → staged SQL, pure: bind, needs, facts, choose, rewrite, splice."""
