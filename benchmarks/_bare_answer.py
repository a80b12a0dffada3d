"""The floor of stages.py: the service's HTTP server around an application that answers with what it is given. Prints its port.

`_bare_answer.py FILE`: FILE has a JSON object from the operation's path to its answer's content type and body in hexadecimal.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop
from _plain_copy import Message, Receive, Send, body_of

from cellblock.http.protocol import BoundedHttp


class Canned:
    """The same answer to each request for the same path."""

    def __init__(self, answers: dict[str, tuple[str, str]]) -> None:
        self._answers = {path: (content_type.encode(), bytes.fromhex(body)) for path, (content_type, body) in answers.items()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """ASGI: one request."""
        await body_of(receive)
        content_type, body = self._answers[scope["path"]]
        headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def serve(answers: dict[str, tuple[str, str]]) -> None:
    """Until a signal comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(Canned(answers), http=BoundedHttp, ws="none", lifespan="off", log_config=None, access_log=False)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(json.loads(Path(sys.argv[1]).read_text())))
