"""The SQL functions that users type: one file each, with its arguments and what it expands to.

`functions/<name>.py` holds `FUNCTION = TableFunction(...)`. A host turns each into a TEMP macro
over `query(vista_plan(…))`, and `session` expands the calls that it finds in a statement: both
call `expand`, so a statement means the same in every host.
"""
