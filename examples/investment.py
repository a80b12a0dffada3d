"""Run a calculation in a session and print what it printed.

Needs the variables of `cellblock env` and the package bedrock-agentcore.
"""

from __future__ import annotations

from bedrock_agentcore.tools.code_interpreter_client import code_session

CALCULATION = """
def grown(principal, yearly_rate, years, periods=12):
    return principal * (1 + yearly_rate / periods) ** (periods * years)

for years in (1, 5, 10):
    print(f"$10,000 at 7% for {years:2} years: ${grown(10_000, 0.07, years):,.2f}")
"""


def main() -> None:
    with code_session("us-east-1") as session:
        answer = session.invoke("executeCode", {"language": "python", "code": CALCULATION})
        for event in answer["stream"]:
            for block in event["result"]["content"]:
                print(block["text"])


if __name__ == "__main__":
    main()
