"""Write tests/unit/train/spark_reference.json: what Spark MLlib's LogisticRegression learns.

    pip install 'pyspark==4.3.0' scikit-learn && python scripts/spark_reference.py  # with Java 17

On scikit-learn's breast cancer data, binary, to convergence; coefficients in the data's units, and
the objective that MLlib reports. Spark is not among the tests' requirements: the figures are kept.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyspark
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from sklearn.datasets import load_breast_cancer

TARGET = Path(__file__).parents[1] / "tests" / "unit" / "train" / "spark_reference.json"
CASES = [
    (0.01, 0.5, True),  # the Vista paper's
    (0.1, 0.0, True),
    (0.02, 1.0, True),
    (0.01, 0.0, False),
]


def main() -> None:
    """Train each case on one core, and write the figures."""
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "localhost")
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate()
    )
    x, y = load_breast_cancer(return_X_y=True)
    rows = [(float(label), Vectors.dense(row.tolist())) for row, label in zip(x, y, strict=True)]
    data = spark.createDataFrame(rows, ["label", "features"]).coalesce(1).cache()
    found = []
    for reg, l1_ratio, standardization in CASES:
        model = LogisticRegression(
            regParam=reg,
            elasticNetParam=l1_ratio,
            standardization=standardization,
            maxIter=5000,
            tol=1e-12,
            family="binomial",
        ).fit(data)
        found.append(
            {
                "regParam": reg,
                "elasticNetParam": l1_ratio,
                "standardization": standardization,
                "coefficients": model.coefficients.toArray().tolist(),
                "intercept": model.intercept,
                "objective": model.summary.objectiveHistory[-1],
                "iterations": model.summary.totalIterations,
            }
        )
    spark.stop()
    text = json.dumps({"pyspark": pyspark.__version__, "cases": found}, indent=1)
    TARGET.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
