"""Spark: statements planned on the driver, kernels in `mapInArrow` on the executors.

Only what Spark Connect has is used: DataFrames, SQL, session settings, resource profiles.
"""
