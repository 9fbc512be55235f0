"""How well a network's features suit a task, told without training: scores, one file each.

A score of features sees a layer's features of the target's rows and their classes; a score of a
network's own classifier sees what that says of the target's rows; P2L sees means alone. They are
what VISTA_RANK_SOURCES shows. A score that cannot be computed is None, and never an error.
"""
