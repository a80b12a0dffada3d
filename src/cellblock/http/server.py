"""uvicorn as the server uses it: its owner says when it stops, and certificates are read again when they change."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from cellblock.errors import CommandFailed
from cellblock.http.protocol import BoundedHttp
from cellblock.machine.listeners import Listeners

KEEP_ALIVE_SECONDS = 620  # longer than clients keep idle connections, so that they close first
LAST_ANSWERS_SECONDS = 5
BACKLOG = 2048

_log = structlog.get_logger("cellblock.server")


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of TLS, in PEM: the chain and its key."""

    chain: Path
    key: Path

    def check(self) -> None:
        """Raises CommandFailed when they cannot be used."""
        try:
            self.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except OSError as error:
            raise CommandFailed(
                f"the certificate {self.chain} with the key {self.key} cannot be used: {error.strerror or error}"
            ) from error

    def load(self, context: ssl.SSLContext) -> None:
        """Give them to new connections. Raises OSError."""
        context.load_cert_chain(self.chain, self.key, password="")  # a key with a pass phrase is refused; OpenSSL would ask a terminal


class HttpServer(uvicorn.Server):
    """Answers on the listeners until `should_exit`."""

    def __init__(
        self,
        application: Any,
        listeners: Listeners,
        *,
        on_ready: Callable[[], None],
        certificates: Certificates | None = None,
        protocol: type[BoundedHttp] = BoundedHttp,
    ) -> None:
        self._certificates = certificates
        super().__init__(
            uvicorn.Config(
                application,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
            )
        )
        self._listeners = listeners
        self._on_ready = on_ready

    def reload_certificates(self) -> None:
        """Read the files again; connections that stand keep theirs, and files that cannot be used change nothing."""
        context = self.config.ssl
        if self._certificates is None or context is None:
            return
        try:
            self._certificates.check()
            self._certificates.load(context)
        except (CommandFailed, OSError) as error:
            _log.error("the certificates were not read again", reason=str(error))
            return
        _log.info("certificates read again", chain=str(self._certificates.chain))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn: answer until told to stop."""
        await super().serve(sockets=list(self._listeners.network))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn: start to listen, on the Unix sockets without TLS."""
        if self._certificates is not None:
            self.config.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._certificates.load(self.config.ssl)
        await super().startup(sockets)
        await self._listen_on_unix()
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn: leave the signals alone."""
        yield

    async def _listen_on_unix(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners.unix:
            self.servers.append(await loop.create_unix_server(self._protocol, sock=listener, backlog=BACKLOG))

    def _protocol(self) -> asyncio.Protocol:
        kind = self.config.http_protocol_class
        made: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]
        return made
