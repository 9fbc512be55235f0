"""A network as data (`steps`, `graph`), who runs it (`engines`), and what kernels ask of it."""
