"""Serves one handler as AgentCore Runtime would, by the published SDK's app; runs in the agent's own Python, which has no cellblock.

Arguments: the handler as module.name, the port, its memory in MB and the longest invocation in seconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bedrock_agentcore.runtime import BedrockAgentCoreApp

PR_SET_PDEATHSIG = 1
STACK_BYTES = 2 * 1024 * 1024  # of each thread; it counts as memory though little of it is used
OVERTIME_STATUS = 75

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class TimeLimit:
    """Answers an invocation that takes too long, and ends the process: a handler's thread cannot be stopped otherwise."""

    def __init__(self, app: Any, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI: one request."""
        if scope["type"] != "http" or scope["path"] != "/invocations":
            await self._app(scope, receive, send)
            return
        try:
            await asyncio.wait_for(self._app(scope, receive, send), self._seconds)
        except TimeoutError:
            print(f"an invocation took more than {self._seconds:g} s: the agent starts again", flush=True)  # noqa: T201
            await _refuse(send, f'{{"error": "the invocation took more than {self._seconds:g} s"}}')
            asyncio.get_running_loop().call_later(0.2, os._exit, OVERTIME_STATUS)  # when the answer has left


async def _refuse(send: Send, body: str) -> None:
    """When the answer has begun already, the end of the process cuts it off."""
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    try:
        await send({"type": "http.response.start", "status": 504, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})
    except RuntimeError:
        return


def limit(memory_mb: int) -> None:
    """End with the supervisor, and have no more memory than that (setrlimit(2), RLIMIT_DATA: private memory, mappings too)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb * 1024 * 1024,) * 2)
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, STACK_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def app_of(handler: str) -> BedrockAgentCoreApp:
    """The app around a function; a module may have made its own."""
    module, _, name = handler.rpartition(".")
    sys.path.insert(0, os.getcwd())
    found = getattr(importlib.import_module(module), name)
    if isinstance(found, BedrockAgentCoreApp):
        return found
    app = BedrockAgentCoreApp()
    app.entrypoint(found)
    return app


def main() -> None:
    """Serve until the process is told to end."""
    handler, port, memory_mb, seconds = sys.argv[1:]
    limit(int(memory_mb))
    app = app_of(handler)
    app.add_middleware(TimeLimit, seconds=float(seconds))
    app.run(port=int(port), host="127.0.0.1")


if __name__ == "__main__":
    main()
