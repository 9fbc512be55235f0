"""A Spark session for the command line: on a master, or on a Spark Connect server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from vista_sql.errors import HostError
from vista_sql.hosts.spark.session import Spark
from vista_sql.hosts.spark.stages import quiet

METASTORE = "metastore_db"
"""Where Hive's catalog is unless it is configured."""


@contextmanager
def opened(url: str, *, keeps: bool = False) -> Iterator[Spark]:
    """Yield vista_sql on a session that is stopped in the end.

    Args:
        url: a master ('local[2]', 'spark://host:7077', 'yarn') or a server ('sc://host').
        keeps: tables that it makes outlive it. A server has its catalog; a session of ours has
            Hive's, in the folder `metastore_db` unless Spark is configured otherwise, and has it
            where that folder is there.

    Raises:
        HostError: Spark does not start there.
    """
    # on this machine workers are this Python, which has the package; a cluster has its own
    if url.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("vista")
    builder = builder.remote(url) if url.startswith("sc://") else builder.master(url)
    if not url.startswith("sc://") and (keeps or Path(METASTORE).is_dir()):
        builder = builder.enableHiveSupport()
    try:
        with quiet():
            session = builder.config("spark.log.level", "ERROR").getOrCreate()
    except PySparkException as error:
        raise _unopened(url, error) from error
    except Exception as error:  # Java's: the master's name, a port that is taken
        raise HostError(f"Spark does not start on {url!r}: {_first(error)}") from error
    try:
        yield Spark(session)
    finally:
        session.stop()


def _unopened(url: str, error: PySparkException) -> HostError:
    if error.getCondition() == "JAVA_GATEWAY_EXITED" and _has_java():
        return HostError(
            f"Spark does not start on {url!r}, which must be a master (local[2], "
            "spark://host:7077, yarn) or a server (sc://host); what it says stands above"
        )
    if error.getCondition() == "JAVA_GATEWAY_EXITED":
        return HostError(
            "Spark needs Java 17 or newer, and none starts here: install it (on Debian, "
            "openjdk-17-jre-headless), or let JAVA_HOME name it"
        )
    return HostError(f"Spark does not start on {url!r}: {_first(error)}")


def _has_java() -> bool:
    """Return whether there is a Java where Spark looks for it."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which(str(Path(home, "bin", "java")) if home else "java") is not None


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if "Exception: " in line]
    return (told[0].partition("Exception: ")[2] if told else lines[0]) if lines else "no reason"
