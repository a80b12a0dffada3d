"""Frames in and out of every common form of file."""
import io
import sqlite3
import tempfile

import numpy as np
import pandas as pd
from pandas.testing import assert_frame_equal

count = 2000
frame = pd.DataFrame(
    {
        "day": pd.date_range("2024-01-01", periods=count, freq="h"),
        "name": np.resize(["a", "b", "c"], count),
        "value": np.linspace(0, 1, count),
        "number": np.arange(count),
    }
)
with tempfile.TemporaryDirectory() as place:
    frame.to_csv(f"{place}/f.csv", index=False)
    assert_frame_equal(pd.read_csv(f"{place}/f.csv", parse_dates=["day"]), frame, check_dtype=False)
    frame.to_parquet(f"{place}/f.parquet")
    assert_frame_equal(pd.read_parquet(f"{place}/f.parquet"), frame, check_dtype=False)
    frame.head(50).to_excel(f"{place}/f.xlsx", index=False)
    assert len(pd.read_excel(f"{place}/f.xlsx")) == 50
    frame.to_pickle(f"{place}/f.pickle.gz")
    assert_frame_equal(pd.read_pickle(f"{place}/f.pickle.gz"), frame)
    with sqlite3.connect(f"{place}/f.db") as base:
        frame.to_sql("t", base, index=False)
        assert pd.read_sql("select count(*) n from t", base)["n"][0] == count
assert pd.read_json(io.StringIO(frame.to_json(orient="records"))).shape == frame.shape
assert frame.groupby("name")["number"].sum().sum() == count * (count - 1) // 2
assert frame.pivot_table(index="name", values="value", aggfunc=["mean", "max"]).shape == (3, 2)
assert frame.set_index("day").resample("D")["value"].mean().notna().all()
assert frame.merge(frame[["number"]], on="number").shape == frame.shape
assert frame.rolling(5, on="day")["value"].mean().isna().sum() == 4
assert frame.to_html() and frame.describe().shape[0] == 8 and frame.melt(id_vars="day", value_name="v").shape[0] == 3 * count
print("fine")
