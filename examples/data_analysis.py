"""Analyse data in a session with Cellblock's own client: upload, two steps that share variables, a chart that comes back.

Needs a server on this machine, or the variables of `cellblock env`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cellblock.client import Session

DAYS = "".join(f"2024-{month:02}-{day:02},{1000 + 37 * month + 11 * (day % 7) * month}\n" for month in range(1, 13) for day in range(1, 29))

LOAD = """
import pandas as pd
visits = pd.read_csv("visits.csv", parse_dates=["day"], index_col="day")["visits"]
print(f"{len(visits)} days, {visits.sum():,} visits")
"""

TREND = """
import numpy as np
monthly = visits.resample("MS").mean()
slope, _ = np.polyfit(range(len(monthly)), monthly, 1)
print(f"the average day grows by {slope:.0f} visits a month")
print(f"busiest weekday: {visits.groupby(visits.index.day_name()).mean().idxmax()}")
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(9, 4))
axes.bar([f"{month:%b}" for month in monthly.index], monthly, color="seagreen")
axes.set_title("Visits on an average day")
plt.show()
"""


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "visits.png")
    with Session() as session:
        session.write("visits.csv", "day,visits\n" + DAYS)
        print(session.run(LOAD).raise_for_error().text)
        trend = session.run(TREND).raise_for_error()
        print(trend.text)
        trend.images[0].save(target)
    print(f"saved {target}")


if __name__ == "__main__":
    main()
