"""The floor of files.py: the service's HTTP server around an application that only copies. Prints its port, then each request's seconds."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
import uvloop

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Copy:
    """POST writes the body to the file, GET answers with it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI: one request."""
        started = time.perf_counter()
        if scope["method"] == "POST":
            self._file.write_bytes(await body_of(receive))
        body = self._file.read_bytes() if scope["method"] == "GET" else b""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
        print(time.perf_counter() - started, flush=True)


async def body_of(receive: Receive) -> bytes:
    """The whole body."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def serve(file: Path) -> None:
    """Until a signal comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(Copy(file), http="httptools", ws="none", lifespan="off", log_config=None, access_log=False)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
