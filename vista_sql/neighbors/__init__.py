"""VISTA_NEIGHBORS, VISTA_DUPLICATES and VISTA_OUTLIERS, as runs that are fed rows with features."""
