"""The running server: puts the parts together, listens, and on a signal drains and takes them apart."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import structlog
import uvicorn

from cellblock.asgi import Application
from cellblock.calls import Node
from cellblock.clock import Clock, MonotonicClock
from cellblock.data_directory import hold_data_directory
from cellblock.descriptors import raise_limit
from cellblock.endpoint import remove_endpoint, write_endpoint
from cellblock.first_key import ensure_first_key
from cellblock.http_protocol import BoundedHttp
from cellblock.interpreter_limits import cell_limits
from cellblock.key_ring import KeyRing
from cellblock.live_figures import LiveFigures
from cellblock.model import now
from cellblock.plain_pages import PlainPage, health, readiness
from cellblock.pools import Pools
from cellblock.service import Service
from cellblock.sessions import SERVER_DIED, SERVER_STOPPED, LiveSessions
from cellblock.settings import Settings
from cellblock.store.protocol import Store
from cellblock.store_opening import open_store
from cellblock.telemetry import Telemetry, metrics_page, open_telemetry

KEEP_ALIVE_SECONDS = 620  # longer than clients keep idle connections, so that they close first
TCP_KEEP_ALIVE_SECONDS = 30  # a long call sends nothing before its result; routers between must not forget it
UNREAD_SECONDS = 120  # a client that takes nothing of its answer for so long is forgotten with it (tcp(7), TCP_USER_TIMEOUT)
LAST_ANSWERS_SECONDS = 5
PURGE_SECONDS = 3600.0
BACKLOG = 2048

_log = structlog.get_logger("cellblock.server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int


class StopSignals:
    """Counts the signals that ask the process to stop; the second one asks not to wait."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def ask(self) -> None:
        """One signal more."""
        (self.at_once if self.asked.is_set() else self.asked).set()

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM of this process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.ask)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


async def serve(
    settings: Settings, node: Node, address: Address, *, stop: StopSignals, on_ready: Callable[[Address], None], clock: Clock | None = None
) -> None:
    """Serve until told to stop. Raises OSError for the address, DataDirectoryError, HostNotReady."""
    raise_limit()
    with hold_data_directory(settings.data_dir), _listener(address) as listener:
        async with AsyncExitStack() as parts:
            start = asyncio.create_task(_start(settings, node, parts, clock or MonotonicClock()), name="start")
            if not await _finished_before(start, stop.asked):
                return
            running = start.result()
            bound = Address(host=address.host, port=listener.getsockname()[1])
            parts.callback(remove_endpoint, settings.data_dir)
            await _listen(running, listener, stop, on_ready=lambda: _announce(settings, bound, on_ready))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    application: Application
    live: LiveSessions
    drain_seconds: float


async def _start(settings: Settings, node: Node, parts: AsyncExitStack, clock: Clock) -> _Running:
    """Start the parts, each with its end on the stack."""
    store = await open_store(settings)
    parts.push_async_callback(store.close)
    await ensure_first_key(store, settings.data_dir, account=settings.account)
    ended = await store.end_sessions_of_dead_server(SERVER_DIED)
    parts.push_async_callback(node.close)
    await node.start()
    pool = Pools(node, cell_limits(settings), settings.pool_size, clock)
    parts.push_async_callback(pool.close)
    await pool.start()
    telemetry = open_telemetry(settings, parts)
    observer = telemetry.observer
    live = LiveSessions(store, pool, clock, calls_at_once=settings.max_calls_per_session, on_end=observer.session_ended)
    live.start()
    parts.push_async_callback(live.close, SERVER_STOPPED)
    service = Service(store=store, live=live, settings=settings, clock=clock)
    parts.push_async_callback(service.close)
    housekeeping = asyncio.create_task(_purge_now_and_then(store, settings, clock), name="purge")
    parts.push_async_callback(_cancel, housekeeping)
    _log.info("started", sessions_of_a_dead_server=ended)
    application = Application(
        service=service,
        keys=KeyRing(store),
        clock=clock,
        max_large_bodies=settings.max_large_bodies,
        pages=_pages(settings, telemetry, LiveFigures(live, pool, node)),
        observer=observer,
    )
    return _Running(application=application, live=live, drain_seconds=settings.drain_seconds)


def _pages(settings: Settings, telemetry: Telemetry, figures: LiveFigures) -> dict[str, PlainPage]:
    pages = {"/ping": health(figures.live_count), "/ready": readiness(figures)}
    return pages | metrics_page(settings, telemetry.counters, figures)


async def _listen(running: _Running, listener: socket.socket, stop: StopSignals, *, on_ready: Callable[[], None]) -> None:
    """Answer requests; on a signal give calls their time, end the sessions, then close the connections."""
    http = _HttpServer(running.application, on_ready)
    serving = asyncio.create_task(http.serve(sockets=[listener]), name="http")
    try:
        if await _finished_before(serving, stop.asked, cancel=False):
            serving.result()
            return
        running.live.begin_draining()
        draining = asyncio.create_task(running.live.wait_idle(running.drain_seconds), name="drain")
        await _finished_before(draining, stop.at_once)
        await running.live.close(SERVER_STOPPED)
    finally:
        http.should_exit = True
        await serving


class _HttpServer(uvicorn.Server):
    """uvicorn, told when to stop by its owner and not by signals."""

    def __init__(self, application: Application, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=BoundedHttp,
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
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn: start to listen."""
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn: leave the signals alone."""
        yield


def _announce(settings: Settings, bound: Address, on_ready: Callable[[Address], None]) -> None:
    write_endpoint(settings.data_dir, bound.host, bound.port)
    on_ready(bound)


@contextlib.contextmanager
def _listener(address: Address) -> Iterator[socket.socket]:
    """A bound socket, before anything slow is started: an address in use is told at once."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # accepted connections inherit it (socket(7))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, TCP_KEEP_ALIVE_SECONDS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, TCP_KEEP_ALIVE_SECONDS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
        listener.bind((address.host, address.port))
        yield listener


async def _finished_before(task: asyncio.Task[object] | asyncio.Task[None], event: asyncio.Event, *, cancel: bool = True) -> bool:
    """Whether the task ended before the event; if not, it is cancelled and waited for."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if task.done():
        return True
    if cancel:
        await _cancel(task)
    return False


async def _cancel(task: asyncio.Task[object] | asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _purge_now_and_then(store: Store, settings: Settings, clock: Clock) -> None:
    while True:
        await store.purge(sessions_ended_before=now() - timedelta(days=settings.session_retention_days))
        await clock.wait(asyncio.Event(), clock.now() + PURGE_SECONDS)
