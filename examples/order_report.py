"""Send TypeScript to a session: types and an enum, a preinstalled package, and a file that Python wrote there before.

Needs the variables of `cellblock env` and the package bedrock-agentcore.
"""

from __future__ import annotations

from typing import Any

from bedrock_agentcore.tools.code_interpreter_client import code_session

WRITE_ORDERS = """
import pandas as pd
pd.DataFrame({"id": [1, 2, 3], "state": ["paid", "open", "paid"], "cents": [1250, 990, 400]}).to_json("orders.json", orient="records")
"""

REPORT = """
import { readFileSync } from "node:fs";
import { z } from "zod";

enum State { Open = "open", Paid = "paid" }
const Order = z.object({ id: z.number(), state: z.enum(State), cents: z.number().int() });
type Order = z.infer<typeof Order>;

const orders: Order[] = z.array(Order).parse(JSON.parse(readFileSync("orders.json", "utf8")));
const total = (state: State): number => orders.filter((order) => order.state === state).reduce((sum, order) => sum + order.cents, 0);

for (const [name, state] of Object.entries(State)) console.log(`${name}: ${(total(state) / 100).toFixed(2)}`);
"""

LATER = "`${orders.length} orders are still there, the first is ${orders[0].state}`"


def run(session: Any, language: str, code: str) -> str:
    (event,) = session.invoke("executeCode", {"language": language, "code": code})["stream"]
    return str(event["result"]["structuredContent"]["stdout"])


def main() -> None:
    with code_session("us-east-1") as session:
        run(session, "python", WRITE_ORDERS)
        print(run(session, "typescript", REPORT))
        print(run(session, "typescript", LATER))


if __name__ == "__main__":
    main()
