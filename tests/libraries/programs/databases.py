"""sqlite in every journal mode and from threads, duckdb, SQLAlchemy, pyarrow, polars."""
import sqlite3
import tempfile
import threading

import duckdb
import polars
import pyarrow as pa
import sqlalchemy
from pyarrow import dataset, parquet

with tempfile.TemporaryDirectory() as place:
    for mode in ("delete", "wal", "memory", "truncate"):
        path = f"{place}/{mode}.db"
        with sqlite3.connect(path) as base:
            assert base.execute(f"pragma journal_mode={mode}").fetchone() == (mode,)
            base.execute("create table t (n integer)")
            base.executemany("insert into t values (?)", ((n,) for n in range(500)))

        def add():
            with sqlite3.connect(path, timeout=30) as own:
                own.execute("insert into t values (1)")

        threads = [threading.Thread(target=add) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sqlite3.connect(path).execute("select count(*) from t").fetchone() == (504,)
    table = pa.table({"n": list(range(1000)), "s": ["x"] * 1000})
    parquet.write_table(table, f"{place}/t.parquet", compression="zstd")
    assert dataset.dataset(f"{place}/t.parquet").count_rows() == 1000
    assert duckdb.sql(f"select sum(n) from '{place}/t.parquet'").fetchall() == [(499500,)]
    assert polars.scan_parquet(f"{place}/t.parquet").group_by("s").len().collect()["len"][0] == 1000
    engine = sqlalchemy.create_engine(f"sqlite:///{place}/wal.db")
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select max(n) from t")).scalar() == 499
    engine.dispose()
print("fine")
