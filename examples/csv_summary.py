"""Upload a CSV file, summarise it with pandas in the session, and bring the answer back as JSON.

Needs the variables of `cellblock env` and the package bedrock-agentcore.
"""

from __future__ import annotations

import json
from typing import Any

from bedrock_agentcore.tools.code_interpreter_client import code_session

SALES = """date,product,sales,region
2024-01-01,Widget A,150,North
2024-01-01,Widget B,200,South
2024-01-02,Widget A,175,North
2024-01-02,Widget B,180,South
2024-01-03,Widget A,160,East
"""

SUMMARY = """
import json
import pandas as pd

sales = pd.read_csv("sales.csv", parse_dates=["date"])
print(json.dumps({
    "rows": len(sales),
    "columns": list(sales.columns),
    "by_product": sales.groupby("product")["sales"].sum().to_dict(),
    "best_day": str(sales.groupby("date")["sales"].sum().idxmax().date()),
}))
"""


def summarise(csv: str) -> dict[str, Any]:
    with code_session("us-east-1") as session:
        session.invoke("writeFiles", {"content": [{"path": "sales.csv", "text": csv}]})
        answer = session.invoke("executeCode", {"language": "python", "code": SUMMARY})
        (event,) = answer["stream"]
        return json.loads(event["result"]["content"][0]["text"])


def main() -> None:
    summary = summarise(SALES)
    print(f"{summary['rows']} rows with the columns {', '.join(summary['columns'])}")
    for product, total in summary["by_product"].items():
        print(f"{product}: {total} sold")
    print(f"best day: {summary['best_day']}")


if __name__ == "__main__":
    main()
