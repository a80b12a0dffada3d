"""uvicorn's HTTP protocol with a bound on what a client may send that is no body, and on the time it takes for a head."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cellblock.http.exchange import Exchange

HEAD_BYTES = 64 * 1024  # far above what signed requests need
HEAD_SECONDS = 30.0
REQUESTS_AHEAD = 100  # that a client may send before the answer to the first; each is some kilobytes here


class BoundedHttp(HttpToolsProtocol):
    """Heads, trailers and chunk extensions are kept in memory before anyone has proven who they are, so they end somewhere."""

    _bytes_beside_bodies = 0
    _is_in_head = False
    _head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes came."""
        self._bytes_beside_bodies += len(data)  # what follows sets it back where a head or a piece of a body ends
        super().data_received(data)
        if self._is_in_head and self._head_timer is None:  # most heads come whole and need no timer
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
        if self._bytes_beside_bodies > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request's head is over {HEAD_BYTES} bytes.")
        elif len(self.pipeline) > REQUESTS_AHEAD and not self.transport.is_closing():
            self.pipeline.clear()
            self.send_400_response(f"More than {REQUESTS_AHEAD} requests were sent ahead of their answers.")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the connection is closed."""
        self._stop_head_timer()
        super().connection_lost(exc)
        if isinstance(self.cycle, Exchange):
            self.cycle.lose_client()

    def on_message_begin(self) -> None:
        """httptools: the first byte of a request."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """httptools: the head is over. As uvicorn's, with an exchange of ours: a server that speaks no WebSocket and has no root path."""
        self._is_in_head = False
        self._stop_head_timer()
        self._bytes_beside_bodies = 0
        version, before = self.parser.get_http_version(), self.cycle
        self._complete_scope(version)
        self.cycle = Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _complete_scope(self, version: str) -> None:
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = url.path
        self.scope["query_string"] = url.query or b""

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        self._bytes_beside_bodies = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools: the request is over."""
        self._bytes_beside_bodies = 0
        super().on_message_complete()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if not self.transport.is_closing():
            self.send_400_response(f"The request's head did not come within {HEAD_SECONDS:g} seconds.")
