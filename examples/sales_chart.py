"""Draw a chart in a session with plain boto3 and save the picture that comes back.

Needs the variables of `cellblock env` and the package boto3.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3

INTERPRETER = "aws.codeinterpreter.v1"
QUARTERS = {"labels": ["Q1", "Q2", "Q3", "Q4"], "values": [150, 220, 180, 290]}

CHART = """
import json
import matplotlib.pyplot as plt

with open("quarters.json") as file:
    quarters = json.load(file)
figure, axes = plt.subplots(figsize=(10, 6))
axes.bar(quarters["labels"], quarters["values"], color="steelblue")
axes.set(title="Quarterly sales", xlabel="Quarter", ylabel="Revenue ($K)")
plt.show()
"""


def draw() -> bytes:
    client = boto3.client("bedrock-agentcore", region_name="us-east-1")
    session = client.start_code_interpreter_session(codeInterpreterIdentifier=INTERPRETER, name="sales-chart")["sessionId"]

    def invoke(tool: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        answer = client.invoke_code_interpreter(codeInterpreterIdentifier=INTERPRETER, sessionId=session, name=tool, arguments=arguments)
        return [block for event in answer["stream"] for block in event["result"]["content"]]

    try:
        invoke("writeFiles", {"content": [{"path": "quarters.json", "text": json.dumps(QUARTERS)}]})
        blocks = invoke("executeCode", {"language": "python", "code": CHART})
        images = [block["data"] for block in blocks if block["type"] == "image"]
        if not images:
            sys.exit("no picture came back, but: " + "\n".join(block.get("text", "") for block in blocks))
        return images[0]
    finally:
        client.stop_code_interpreter_session(codeInterpreterIdentifier=INTERPRETER, sessionId=session)


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "quarterly_sales.png")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(draw())
    print(f"saved {target}, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
