"""An agent that gets its tools from `cellblock mcp`, by the official MCP client; a script stands in for the language model.

Needs the package mcp, which comes with Cellblock. A server is not needed: `cellblock mcp` starts a private one when none runs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

CELLBLOCK = Path(sys.executable).with_name("cellblock")
QUESTION = "Which of the numbers in numbers.txt are prime, and what is their sum?"


@dataclass(frozen=True)
class ToolCall:
    """What a model asks for."""

    tool: str
    arguments: dict[str, Any]


def scripted_model() -> Iterator[ToolCall]:
    """The calls that a language model would make to answer the question."""
    yield ToolCall("write_files", {"files": [{"path": "numbers.txt", "text": "97\n221\n1009\n1073\n7919\n"}]})
    yield ToolCall("execute_code", {"code": "numbers = [int(line) for line in open('numbers.txt')]\nlen(numbers)"})
    yield ToolCall("execute_code", {"code": "import sympy\nprimes = [n for n in numbers if sympy.isprime(n)]\nprint(primes, sum(primes))"})


async def main() -> None:
    server = StdioServerParameters(command=str(CELLBLOCK), args=["mcp"], env=dict(os.environ))
    print(QUESTION)
    async with Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        print(f"the model is offered: {', '.join(sorted(tools))}")
        for call in scripted_model():
            result = await client.call_tool(call.tool, call.arguments)
            text = "\n".join(block.text for block in result.content if block.type == "text")
            print(f"{call.tool} -> {text}")


if __name__ == "__main__":
    asyncio.run(main())
