"""The Spark session: found, or opened with what errdetect needs; PySpark and Java are optional."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from errdetect.errors import ConfigError, error_message

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = [
    "PARTITION_ROWS",
    "check_spark",
    "find_java",
    "open_session",
    "session_settings",
    "size_shuffles",
    "spark_schema",
]

_JAVA = 17
_BATCH_ROWS = 10_000
#: Decisions of a partition, or so.
PARTITION_ROWS = 200_000
_BATCH_BYTES = 32 * 2**20
#: The text by which Spark calls itself a session on this machine only.
_LOCAL = "local"
_PROGRESS = "spark.ui.showConsoleProgress"
_SETTINGS = {
    "spark.app.name": "errdetect",
    "spark.ui.enabled": "false",
    _PROGRESS: "false",
    "spark.log.level": "ERROR",
    "spark.driver.maxResultSize": "0",
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    # Imports errdetect once for all Python workers of an executor.
    "spark.python.daemon.module": "errdetect.workflows.spark_daemon",
}
_ON_THIS_MACHINE = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
_DRIVER = "--driver-memory 2g pyspark-shell"
#: What errdetect's own queries rely on, set in any session.
_QUERIES = {
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(_BATCH_ROWS),
    "spark.sql.execution.arrow.maxBytesPerBatch": str(_BATCH_BYTES),
    # Looking for the best compression of each column costs more than the disk that it saves.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
}


_NAMES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.int64(): "bigint",
}


def spark_schema(schema: pa.Schema) -> str:
    """Return a schema in Spark's words.

    Examples
    --------
    >>> spark_schema(pa.schema({"a`b": pa.string(), "n": pa.int64()}.items()))
    '`a``b` string, `n` bigint'
    """
    return ", ".join(
        f"`{f.name.replace('`', '``')}` {_NAMES.get(f.type, 'timestamp')}" for f in schema
    )


def find_java() -> tuple[str, int] | None:
    """Return the Java that Spark would start, and its version; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if found is None:
        return None
    done = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return None if version is None else (found, int(version[1]))


def check_spark() -> None:
    """Refuse where PySpark or its Java is absent.

    Raises
    ------
    ConfigError
        Saying what to install.
    """
    what = "--engine spark"
    if importlib.util.find_spec("pyspark") is None:
        do = "Install `errdetect[spark]`, or leave --engine out."
        raise ConfigError([error_message(what, "find PySpark", "none that is installed", do)])
    java = find_java()
    if java is None or java[1] < _JAVA:
        got = "none" if java is None else f"Java {java[1]} ({java[0]})"
        do = (
            "Install it (Debian: openjdk-17-jre-headless), or name it by JAVA_HOME; or leave --engine "
            "out."
        )
        raise ConfigError([error_message(what, f"find Java {_JAVA} or later", got, do)])


def session_settings(given: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a new session, without those that Spark's configuration has.

    Examples
    --------
    >>> "spark.driver.host" in session_settings({"spark.master": "spark://head:7077"})
    False
    >>> session_settings({"spark.master": "local[2]"})["spark.driver.bindAddress"]
    '127.0.0.1'
    """
    alone = given.get("spark.master", _LOCAL).startswith(_LOCAL)
    settings = _SETTINGS | (_ON_THIS_MACHINE if alone else {})
    # Spark shows its own progress by default where Python starts it.
    return {
        name: value for name, value in settings.items() if name not in given or name == _PROGRESS
    }


def open_session() -> "SparkSession":
    """Return the running session, or open one where Spark's own configuration says.

    Without a master in it (`spark-submit --master`, `spark.master` in spark-defaults.conf), Spark runs
    on all processors of this machine, and listens on the loopback address only.

    Raises
    ------
    ConfigError
        Where PySpark or Java is absent.
    """
    check_spark()
    # pandas 3 works for what is used here; the tests compare it with one machine's results.
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is None:
        # Python of the workers and memory of the driver, where Spark's configuration names none.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        if "SPARK_CONF_DIR" not in os.environ:
            os.environ.setdefault("PYSPARK_SUBMIT_ARGS", _DRIVER)
        SparkContext._ensure_initialized()  # only the started Java knows Spark's configuration
        conf = SparkConf()
        for name, value in session_settings(dict(conf.getAll())).items():
            conf.set(name, value)
        session = SparkSession.builder.config(conf=conf).getOrCreate()
    for name, value in _QUERIES.items():
        session.conf.set(name, value)
    return session


def size_shuffles(session: "SparkSession", rows: int) -> None:
    """Set the number of partitions by the number of rows, unless Spark's configuration names it."""
    name = "spark.sql.shuffle.partitions"
    if session.sparkContext.getConf().get(name) is None:
        n = max(session.sparkContext.defaultParallelism, rows // PARTITION_ROWS)
        session.conf.set(name, str(n))
