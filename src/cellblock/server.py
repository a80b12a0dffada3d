"""The running server: puts the parts together, listens, and on a signal drains and takes them apart."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog

from cellblock.errors import StoreUnavailable
from cellblock.http.asgi import Application
from cellblock.http.mcp_mount import Application as Asgi
from cellblock.http.mcp_mount import McpGate, McpMount
from cellblock.http.operator_app import SOCKET_MODE, OperatorApplication, OperatorHttp
from cellblock.http.server import LAST_ANSWERS_SECONDS, Certificates, HttpServer
from cellblock.machine import allocator
from cellblock.machine.clock import Clock, MonotonicClock
from cellblock.machine.data_directory import hold_data_directory
from cellblock.machine.descriptors import raise_limit
from cellblock.machine.endpoint import OPERATOR_SOCKET_NAME, remove_endpoint, write_endpoint
from cellblock.machine.listeners import Address, Listeners, listening, unix_listener
from cellblock.machine.signals import StopSignals
from cellblock.model.calls import Node
from cellblock.model.resources import now
from cellblock.observing.plain_pages import PlainPage, health, readiness
from cellblock.observing.telemetry import Telemetry, metrics_page, open_telemetry
from cellblock.service.first_key import ensure_first_key
from cellblock.service.key_ring import KeyRing
from cellblock.service.operations import Service
from cellblock.sessions.figures import LiveFigures
from cellblock.sessions.interpreter_limits import cell_limits
from cellblock.sessions.live import SERVER_DIED, SERVER_STOPPED, LiveSessions
from cellblock.sessions.metering import Metering
from cellblock.sessions.pool import PoolBounds
from cellblock.sessions.pools import Pools
from cellblock.sessions.room import Room
from cellblock.settings.table import Settings
from cellblock.store.opening import open_store
from cellblock.store.protocol import ClusterStore, Store

PURGE_SECONDS = 3600.0

_log = structlog.get_logger("cellblock.server")


async def serve(
    settings: Settings, node: Node, address: Address, *, stop: StopSignals, on_ready: Callable[[Address], None], clock: Clock | None = None
) -> None:
    """Serve with the cells of this machine until told to stop. Raises OSError for the address, DataDirectoryError, HostNotReady."""
    await serve_as(Alone(settings, node), settings, address, stop=stop, on_ready=on_ready, clock=clock)


async def serve_as(
    shape: Shape,
    settings: Settings,
    address: Address,
    *,
    stop: StopSignals,
    on_ready: Callable[[Address], None],
    clock: Clock | None = None,
) -> None:
    """The same for a server that is one of many."""
    raise_limit()
    allocator.keep_some()
    certificates = _certificates(settings)
    place = settings.data_dir / OPERATOR_SOCKET_NAME
    with hold_data_directory(settings.data_dir), listening(address) as listeners, unix_listener(place, SOCKET_MODE) as operators:
        async with AsyncExitStack() as parts:
            start = asyncio.create_task(_start(settings, shape, parts, clock or MonotonicClock()), name="start")
            if not await _finished_before(start, stop.asked):
                return
            running = start.result()
            bound = listeners.bound(address)
            parts.callback(remove_endpoint, settings.data_dir)
            operator = HttpServer(running.operator, Listeners((), (operators,)), on_ready=lambda: None, protocol=OperatorHttp)
            parts.push_async_callback(_close_http, operator, asyncio.create_task(operator.serve(), name="operator"))
            is_listening = asyncio.Event()
            http = HttpServer(running.application, listeners, on_ready=is_listening.set, certificates=certificates)
            http.config.timeout_graceful_shutdown = shape.last_answers_seconds
            stop.on_reload = http.reload_certificates
            greet = functools.partial(_greet, is_listening, shape, bound, functools.partial(_announce, settings, bound, on_ready))
            await _listen(running, http, stop, greet)


def _certificates(settings: Settings) -> Certificates | None:
    if not settings.tls_certificate:
        return None
    certificates = Certificates(Path(settings.tls_certificate), Path(settings.tls_key))
    certificates.check()
    return certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a server is made of, for the shape that goes around it; `ends` takes what the shape adds."""

    store: ClusterStore
    live: LiveSessions
    figures: LiveFigures
    room: Room
    keys: KeyRing
    gate: McpGate
    api: McpMount
    clock: Clock
    ends: AsyncExitStack


class Shape(Protocol):
    """What makes a server one of its own, a node of a cluster, or a front end."""

    @property
    def node(self) -> Node:
        """What opens cells."""
        ...

    @property
    def has_cells(self) -> bool:
        """Whether it opens any."""
        ...

    @property
    def node_id(self) -> str | None:
        """Its id in the table of nodes."""
        ...

    @property
    def last_answers_seconds(self) -> int:
        """What answers under way may take when the connections are closed."""
        ...

    def room(self) -> Room:
        """What it takes."""
        ...

    def pages(self) -> dict[str, PlainPage]:
        """Its own in the place of the usual pages."""
        ...

    async def enter(self, parts: Parts) -> Asgi:
        """What answers requests, when all parts have started."""
        ...

    async def listening(self, bound: Address) -> None:
        """It can be reached from here on."""
        ...


class Alone:
    """A server of its own."""

    has_cells = True
    node_id = None
    last_answers_seconds = LAST_ANSWERS_SECONDS

    def __init__(self, settings: Settings, node: Node) -> None:
        self.node = node
        self._calls_at_once = settings.max_calls_per_session

    def room(self) -> Room:
        """See Shape."""
        return Room(calls_at_once=self._calls_at_once)

    def pages(self) -> dict[str, PlainPage]:
        """See Shape."""
        return {}

    async def enter(self, parts: Parts) -> Asgi:
        """See Shape."""
        return parts.api

    async def listening(self, bound: Address) -> None:
        """See Shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    application: Asgi
    mcp: McpMount
    operator: OperatorApplication
    live: LiveSessions
    drain_seconds: float


async def _start(settings: Settings, shape: Shape, parts: AsyncExitStack, clock: Clock) -> _Running:
    """Start the parts, each with its end on the stack."""
    store = await open_store(settings, role="server" if settings.cluster == "none" else "member")
    parts.push_async_callback(store.close)
    await ensure_first_key(store, settings.data_dir, account=settings.account)
    ended = await store.end_sessions_of_dead_server(SERVER_DIED)
    pool = await _cells(settings, shape, parts, clock)
    telemetry = open_telemetry(settings, parts)
    observer = telemetry.observer
    metering = Metering(store, clock)
    metering.start()
    parts.push_async_callback(metering.close)
    room = shape.room()
    live = LiveSessions(store, pool, clock, metering=metering, room=room, on_end=observer.session_ended)
    live.start()
    parts.push_async_callback(live.close, SERVER_STOPPED)
    service = Service(store=store, live=live, settings=settings, clock=clock, node_id=shape.node_id)
    parts.push_async_callback(service.close)
    housekeeping = asyncio.create_task(_purge_now_and_then(store, settings, clock), name="purge")
    parts.push_async_callback(_cancel, housekeeping)
    _log.info("started", sessions_of_a_dead_server=ended)
    figures = LiveFigures(live, pool, shape.node)
    keys = KeyRing(store)
    application = Application(
        service=service,
        keys=keys,
        clock=clock,
        max_large_bodies=settings.max_large_bodies,
        pages=_pages(settings, telemetry, figures) | shape.pages(),
        observer=observer,
    )
    operator = OperatorApplication(live, figures, telemetry.audit)
    gate = McpGate(keys, settings)
    mcp = McpMount(application, service, gate, settings=settings, observer=observer, clock=clock)
    parts.push_async_callback(mcp.close)
    whole = Parts(store=store, live=live, figures=figures, room=room, keys=keys, gate=gate, api=mcp, clock=clock, ends=parts)
    return _Running(application=await shape.enter(whole), mcp=mcp, operator=operator, live=live, drain_seconds=settings.drain_seconds)


async def _cells(settings: Settings, shape: Shape, parts: AsyncExitStack, clock: Clock) -> Pools:
    """What sessions take their cells from."""
    if shape.has_cells:
        parts.push_async_callback(shape.node.close)
        await shape.node.start()
    bounds = PoolBounds(settings.pool_size, settings.max_pool_size) if shape.has_cells else PoolBounds(0, 0)
    pool = Pools(shape.node, cell_limits(settings), bounds, clock)
    parts.push_async_callback(pool.close)
    if shape.has_cells:
        await pool.start()
    return pool


def _pages(settings: Settings, telemetry: Telemetry, figures: LiveFigures) -> dict[str, PlainPage]:
    pages = {"/ping": health(figures.live_count), "/ready": readiness(figures)}
    return pages | metrics_page(settings, telemetry.counters, figures)


async def _listen(running: _Running, http: HttpServer, stop: StopSignals, greet: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Answer requests; on a signal give calls their time, end the sessions, then close the connections."""
    serving = asyncio.create_task(_answer(http, greet), name="http")
    try:
        if await _finished_before(serving, stop.asked, cancel=False):
            serving.result()
            return
        running.live.begin_draining()
        draining = asyncio.create_task(running.live.wait_idle(running.drain_seconds), name="drain")
        await _finished_before(draining, stop.at_once)
        await running.live.close(SERVER_STOPPED)
        await running.mcp.close()  # its clients keep streams open, which would be waited for
    finally:
        await _close_http(http, serving)


async def _answer(http: HttpServer, greet: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            greeting = tasks.create_task(greet(), name="greet")
            await http.serve()
            greeting.cancel()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


async def _greet(is_listening: asyncio.Event, shape: Shape, bound: Address, announce: Callable[[], None]) -> None:
    await is_listening.wait()
    await shape.listening(bound)
    announce()


async def _close_http(http: HttpServer, serving: asyncio.Task[None]) -> None:
    http.should_exit = True
    await serving


def _announce(settings: Settings, bound: Address, on_ready: Callable[[Address], None]) -> None:
    write_endpoint(settings.data_dir, settings.public_url or bound.url)
    on_ready(bound)


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
        time = now()
        sessions_before = time - timedelta(days=settings.session_retention_days)
        usage_before = time - timedelta(days=settings.usage_retention_days)
        try:
            await store.purge(sessions_ended_before=sessions_before)
            await store.purge_usage(calls_before=sessions_before, sessions_before=usage_before)
        except StoreUnavailable as error:
            _log.error("old rows are not removed yet", reason=error.message)
        await clock.wait(asyncio.Event(), clock.now() + PURGE_SECONDS)
