"""The stock duckdb shell: a small extension in C, and the worker that it talks to.

`build` makes the extension, `init` the SQL that a shell reads first, `places` knows where sockets
and files lie; `columns` is the form in which rows travel, `server` the worker's side of it.
"""
