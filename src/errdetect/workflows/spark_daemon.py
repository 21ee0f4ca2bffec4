"""The process that Spark forks its Python workers from: what all of them need is imported once, before they start."""

import lightgbm  # noqa: F401
from pyspark import worker  # noqa: F401
from pyspark.daemon import manager

from errdetect.workflows import draw_tasks, spark_batches  # noqa: F401

__all__: list[str] = []

if __name__ == "__main__":
    manager()
