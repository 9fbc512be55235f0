"""Spark's own logistic regression, for `trainer => 'mllib'`."""

from __future__ import annotations

import numpy as np
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, functions
from pyspark.storagelevel import StorageLevel

from vista_sql.hosts.spark.stages import quiet
from vista_sql.train.examples import Problem, Solution


def solve(rows: DataFrame, problem: Problem) -> Solution:
    """Fit one model.

    Args:
        rows: columns features array<double>, label double, weight double.
        problem: the objective.
    """
    trainer = LogisticRegression(
        featuresCol="vector",
        labelCol="label",
        weightCol="weight",
        regParam=problem.reg,
        elasticNetParam=problem.l1_ratio,
        standardization=problem.standardize,
        maxIter=problem.max_iterations,
        tol=problem.tolerance,
        family="binomial" if problem.n_classes == 2 else "multinomial",
    )
    with quiet():
        vectors = rows.select(
            array_to_vector(functions.col("features")).alias("vector"), "label", "weight"
        ).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            model = trainer.fit(vectors)
            history = list(model.summary.objectiveHistory)
            coef = np.array(model.coefficientMatrix.toArray(), np.float64)
            intercept = np.array(model.interceptVector.toArray(), np.float64)
        finally:
            vectors.unpersist()
    return Solution(coef, intercept, len(history) - 1, float(history[-1]))
