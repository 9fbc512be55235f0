"""A project: a folder of pictures and a table of labels → a database, and query files on it.

`labels` finds the picture that each row of a table is about, `networks` a CNN whose weights are
here, `written` has the query files. Nothing is inferred here.
"""
