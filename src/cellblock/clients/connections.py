"""How the waiting client reaches a server by botocore's connections, which cost a call half of what httpx's do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import HTTPClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from cellblock.clients.messages import Request
from cellblock.clients.results import ConnectionFailed
from cellblock.clients.server import Server
from cellblock.clients.transport import CONNECTIONS, Limits, is_loopback


class Connections:
    """The connections to one server, kept open between requests, for several threads."""

    def __init__(self, server: Server, limits: Limits) -> None:
        self._server = server
        options: dict[str, Any] = {  # its stubs know less than it takes
            "verify": server.authority or True,
            "proxies": {} if is_loopback(urlsplit(server.url).hostname or "") else get_environ_proxies(server.url),
            "timeout": (limits.connect_seconds, limits.answer_seconds),
            "max_pool_connections": CONNECTIONS,
            "socket_options": [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        }
        self._http = URLLib3Session(**options)

    def close(self) -> None:
        """Close those that are idle."""
        self._http.close()

    def send(self, request: Request, content: Any = None) -> tuple[int, Any, bytes]:
        """Status, headers and body of the answer; `content` is the body of a request that has none of its own. Raises ConnectionFailed."""
        with _told(self._server):
            answer = self._http.send(self._prepared(request, content))
            return answer.status_code, answer.headers, answer.content

    @contextmanager
    def open(self, request: Request) -> Iterator[AWSResponse]:
        """An answer whose body is still to be read, from `raw`, and its connection closed if it is not. Raises ConnectionFailed."""
        with _told(self._server):
            answer = self._http.send(self._prepared(request, None, is_streamed=True))
            try:
                yield answer
            finally:
                answer.raw.close()

    def _prepared(self, request: Request, content: Any, *, is_streamed: bool = False) -> Any:
        signed = request.signed(self._server)
        body = request.body if content is None else content
        return AWSRequest(request.method, self._server.url + request.path, signed, body, stream_output=is_streamed).prepare()


@contextmanager
def _told(server: Server) -> Iterator[None]:
    """Raises ConnectionFailed for what botocore says of the connection."""
    try:
        yield
    except ReadTimeoutError as error:
        raise ConnectionFailed(f"{server.url} did not answer in time ({type(error).__name__})") from error
    except NotConnected as error:
        raise ConnectionFailed(f"no server answers at {server.url}: {error}") from error
    except HTTPClientError as error:
        raise ConnectionFailed(f"the connection to {server.url} broke: {error}") from error
