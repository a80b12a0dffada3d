"""Turn a CSV file into a report: a Word document with a table and a chart, made in a session and fetched from it.

Needs a server on this machine, or the variables of `cellblock env`. Usage: csv_report.py [DATA.csv [REPORT.docx]]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from cellblock.client import Session

ORDERS = """date,region,product,units,price
2024-01-03,North,Lamp,12,24.50
2024-01-05,South,Chair,3,119.00
2024-01-09,North,Desk,1,349.00
2024-01-12,East,Lamp,30,22.00
2024-01-19,South,Desk,2,339.00
2024-01-25,East,Chair,8,115.00
"""

REPORT = """
import matplotlib.pyplot as plt
import pandas as pd
from docx import Document
from docx.shared import Cm

orders = pd.read_csv("orders.csv", parse_dates=["date"])
orders["revenue"] = orders["units"] * orders["price"]
table = orders.pivot_table(index="region", columns="product", values="revenue", aggfunc="sum", fill_value=0, margins=True)

table.drop("All").drop(columns="All").plot(kind="barh", stacked=True, figsize=(8, 3))
plt.tight_layout(); plt.savefig("revenue.png", dpi=150); plt.close()

document = Document()
document.add_heading("Orders", level=1)
document.add_paragraph(f"{len(orders)} orders from {orders.date.min():%d %B} to {orders.date.max():%d %B %Y}.")
rows = document.add_table(rows=1, cols=len(table.columns) + 1, style="Light Grid Accent 1")
for cell, name in zip(rows.rows[0].cells, ["Region", *table.columns]):
    cell.text = name
for region, values in table.iterrows():
    for cell, text in zip(rows.add_row().cells, [region, *(f"{value:,.2f}" for value in values)]):
        cell.text = text
document.add_picture("revenue.png", width=Cm(15))
document.save("report.docx")
print(f"revenue {table.loc['All', 'All']:,.2f}, best region {table['All'].drop('All').idxmax()}")
"""


def main() -> None:
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "report.docx")
    with tempfile.TemporaryDirectory() as directory, Session() as session:
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(directory, "orders.csv")
        if len(sys.argv) < 2:
            source.write_text(ORDERS)
        session.upload(source, "orders.csv")
        print(session.run(REPORT).raise_for_error().text)
        session.download("report.docx", target)
    print(f"saved {target}, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
