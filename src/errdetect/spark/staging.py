"""Tables that only Spark reads, such as those at `s3a://` or in Delta: written as Parquet parts first."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errdetect.data.output_folders import hold_temporary_folder
from errdetect.data.sources import name_files
from errdetect.errors import DataError, error_message, mask_secrets
from errdetect.spark.session import open_session

__all__ = ["is_spark_source", "staged_source"]

_DELTA = "_delta_log"
_STORES = ("s3", "s3a", "gs", "abfs", "abfss", "wasb", "wasbs", "hdfs", "viewfs", "dbfs", "file")
_SCHEMES = tuple(f"{name}://" for name in _STORES)


def is_spark_source(source: str) -> bool:
    """Return whether a source is one that Spark's own readers open: a URL, or a Delta table.

    Examples
    --------
    >>> is_spark_source("s3a://bucket/day"), is_spark_source("day.parquet"), is_spark_source("sqlite:///log.db::t")
    (True, False, False)
    """
    return source.startswith(_SCHEMES) or (Path(source) / _DELTA).is_dir()


@contextmanager
def staged_source(source: str) -> Iterator[str]:
    """Yield a source that errdetect reads: itself, or a temporary folder with what Spark read there.

    The folder is below TMPDIR, which workers on other machines have to share.

    Parameters
    ----------
    source
        A path or glob, a database's table, or a URL or Delta table for Spark.

    Raises
    ------
    DataError
        Where Spark cannot read it.
    """
    if not is_spark_source(source):
        yield source
        return
    spark = open_session()
    from pyspark.errors import PySparkException

    shown = mask_secrets(source)
    with hold_temporary_folder() as temporary:
        folder = temporary / "parts"
        local = Path(source.removeprefix("file://"))
        delta = (local / _DELTA).is_dir() or source.rstrip("/").endswith(".delta")
        try:
            table = spark.read.format("delta" if delta else "parquet").load(source)
            table.write.parquet(str(folder))
        except PySparkException as error:
            first = str(error).strip().partition("\n")[0][:300]
            do = "Check the URL, its rights, and that Spark has the packages for it."
            raise DataError(
                error_message(f"The source {shown}", "be read by Spark", first, do)
            ) from error
        with name_files(
            {folder: shown} | {p: f"{shown}/{p.name}" for p in folder.glob("*.parquet")}
        ):
            yield str(folder)
