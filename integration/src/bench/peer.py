#!/usr/bin/env python3
"""One engine that is not Hearth, as a process that answers a JSON object a line. protocol.rs beside this file has the fields.

DuckDB runs in this process. Spark runs as a standalone cluster on loopback: a master and workers of one core, which this
process starts and ends. Sail's cluster mode runs its server and its workers in this process.
"""

import csv
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

# How long a cluster may take until all of its executors are there.
CLUSTER_STARTS_WITHIN = 120


def kind(type_name):
    """How a column of this type is compared; integration/src/compare.rs has the meanings."""
    name = type_name.lower().split("(")[0]
    if name in ("double", "float", "real"):
        return "float"
    if name in ("decimal", "date"):
        return name
    if name.endswith("int") or name.endswith("integer") or name in ("long", "byte", "short"):
        return "integer"
    return "text"


def field(value):
    """A value as text: all digits, and never an exponent in a decimal."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if type(value).__name__ == "Decimal":
        return format(value, "f")
    return str(value)


class DuckDb:
    """DuckDB with as many threads as there are cores, and the memory of all executors."""

    def __init__(self, setup):
        import duckdb

        self.version = duckdb.__version__
        self.connection = duckdb.connect()
        self.connection.execute(f"set threads = {setup['cores']}")
        self.connection.execute(f"set memory_limit = '{setup['cores'] * setup['executor_memory_mib']}MiB'")
        self.connection.execute(f"set temp_directory = '{setup['scratch']}/spill'")
        for table in setup["tables"]:
            name = pathlib.Path(table).stem
            self.connection.execute(f"create view {name} as select * from read_parquet('{table}')")

    def run(self, sql):
        result = self.connection.execute(sql)
        rows = result.fetchall()
        return [(name, str(type_code)) for name, type_code, *_ in result.description], rows

    def stop(self):
        if hasattr(self, "connection"):
            self.connection.close()


class SparkSql:
    """What Spark and Sail share: a session that speaks Spark's SQL."""

    def open(self, session, setup):
        self.session = session
        self.version = session.version
        for table in setup["tables"]:
            session.read.parquet(table).createOrReplaceTempView(pathlib.Path(table).stem)

    def run(self, sql):
        frame = self.session.sql(sql)
        rows = frame.collect()
        return [(column.name, column.dataType.simpleString()) for column in frame.schema.fields], rows


class Spark(SparkSql):
    """Spark's standalone cluster."""

    def __init__(self, setup):
        import pyspark
        from pyspark.sql import SparkSession

        self.home = pathlib.Path(pyspark.__file__).parent
        self.scratch = pathlib.Path(setup["scratch"])
        self.daemons = []
        memory = f"{setup['executor_memory_mib']}m"
        os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(self.home), "PYSPARK_PYTHON": sys.executable}
        port = free_port()
        master = f"spark://127.0.0.1:{port}"
        local = ["--host", "127.0.0.1", "--webui-port", "0"]
        self.start("deploy.master.Master", [*local, "--port", str(port)])
        await_port(port)
        for place in range(setup["cores"]):
            work = str(self.scratch / f"worker-{place}")
            self.start("deploy.worker.Worker", [*local, "--cores", "1", "--memory", memory, "--work-dir", work, master])
        builder = SparkSession.builder.master(master).appName("bench")
        settings = {
            "spark.executor.memory": memory,
            "spark.executor.cores": "1",
            "spark.cores.max": str(setup["cores"]),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(self.scratch / "local"),
            "spark.sql.warehouse.dir": str(self.scratch / "warehouse"),
            # Its default of 200 is far slower on so few cores.
            "spark.sql.shuffle.partitions": "8",
            "spark.ui.enabled": "false",
        }
        for key, value in settings.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        self.await_executors(session, setup["cores"])
        self.open(session, setup)

    def start(self, main_class, arguments):
        command = [str(self.home / "bin/spark-class"), f"org.apache.spark.{main_class}", *arguments]
        self.daemons.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr))

    def await_executors(self, session, count):
        until = time.monotonic() + CLUSTER_STARTS_WITHIN
        # The driver counts itself.
        while session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < count + 1:
            if time.monotonic() > until:
                raise TimeoutError(f"no {count} executors after {CLUSTER_STARTS_WITHIN} s")
            time.sleep(0.2)

    def stop(self):
        if hasattr(self, "session"):
            self.session.stop()
        daemons = getattr(self, "daemons", [])
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()


class Sail(SparkSql):
    """Sail's cluster mode: one worker of one task slot a core."""

    def __init__(self, setup):
        cores = str(setup["cores"])
        os.environ |= {
            "SAIL_MODE": "local-cluster",
            "SAIL_CLUSTER__WORKER_INITIAL_COUNT": cores,
            "SAIL_CLUSTER__WORKER_MAX_COUNT": cores,
            "SAIL_CLUSTER__WORKER_TASK_SLOTS": "1",
            "SAIL_EXECUTION__DEFAULT_PARALLELISM": cores,
        }
        import pysail
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession

        self.server = SparkConnectServer()
        self.server.start()
        _, port = self.server.listening_address
        self.open(SparkSession.builder.remote(f"sc://localhost:{port}").getOrCreate(), setup)
        self.version = pysail.__version__

    def stop(self):
        if hasattr(self, "server"):
            self.server.stop()


ENGINES = {"duckdb": DuckDb, "spark": Spark, "sail": Sail}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_port(port):
    until = time.monotonic() + CLUSTER_STARTS_WITHIN
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise TimeoutError(f"nobody listens on port {port} after {CLUSTER_STARTS_WITHIN} s") from None
            time.sleep(0.1)


def write(path, columns, rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f"{name}:{kind(type_name)}" for name, type_name in columns])
        writer.writerows([field(value) for value in row] for row in rows)


def answer(engine, ask):
    begun = time.perf_counter()
    columns, rows = engine.run(ask["sql"])
    seconds = time.perf_counter() - begun
    write(ask["out"], columns, rows)
    return {"seconds": seconds}


def failed(error):
    # The first lines say it; a JVM adds its whole stack.
    text = f"{type(error).__name__}: {error}"
    return {"error": "\n".join(text.splitlines()[:5])}


def serve(setup, say):
    engine_class = ENGINES[setup["engine"]]
    engine = engine_class.__new__(engine_class)
    try:
        try:
            engine.__init__(setup)
        except Exception as error:  # whatever it is, the other side tells the user
            return say(failed(error))
        say({"version": engine.version})
        for line in sys.stdin:
            try:
                say(answer(engine, json.loads(line)))
            except Exception as error:  # a query that fails is a result
                say(failed(error))
    finally:
        engine.stop()


def main():
    # An interpreter that is asked to end must still end what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Standard output is for answers: what engines and their children print goes elsewhere.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(reply):
        answers.write(json.dumps(reply) + "\n")
        answers.flush()

    serve(json.loads(sys.stdin.readline()), say)
    # Sail's threads outlive its server; nothing is left to be done that they could do.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
