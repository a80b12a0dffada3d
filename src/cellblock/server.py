"""The running server: puts the parts together, listens, and on a signal drains and takes them apart."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from cellblock.errors import StoreUnavailable
from cellblock.http.asgi import Application
from cellblock.http.mcp_mount import McpMount
from cellblock.http.operator_app import SOCKET_MODE, OperatorApplication, OperatorHttp
from cellblock.http.server import Certificates, HttpServer
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
from cellblock.settings.table import Settings
from cellblock.store.opening import open_store
from cellblock.store.protocol import Store

PURGE_SECONDS = 3600.0

_log = structlog.get_logger("cellblock.server")


async def serve(
    settings: Settings, node: Node, address: Address, *, stop: StopSignals, on_ready: Callable[[Address], None], clock: Clock | None = None
) -> None:
    """Serve until told to stop. Raises OSError for the address, DataDirectoryError, HostNotReady."""
    raise_limit()
    certificates = _certificates(settings)
    place = settings.data_dir / OPERATOR_SOCKET_NAME
    with hold_data_directory(settings.data_dir), listening(address) as listeners, unix_listener(place, SOCKET_MODE) as operators:
        async with AsyncExitStack() as parts:
            start = asyncio.create_task(_start(settings, node, parts, clock or MonotonicClock()), name="start")
            if not await _finished_before(start, stop.asked):
                return
            running = start.result()
            bound = listeners.bound(address)
            parts.callback(remove_endpoint, settings.data_dir)
            operator = HttpServer(running.operator, Listeners((), (operators,)), on_ready=lambda: None, protocol=OperatorHttp)
            parts.push_async_callback(_close_http, operator, asyncio.create_task(operator.serve(), name="operator"))
            announce = functools.partial(_announce, settings, bound, on_ready)
            http = HttpServer(running.application, listeners, on_ready=announce, certificates=certificates)
            stop.on_reload = http.reload_certificates
            await _listen(running, http, stop)


def _certificates(settings: Settings) -> Certificates | None:
    if not settings.tls_certificate:
        return None
    certificates = Certificates(Path(settings.tls_certificate), Path(settings.tls_key))
    certificates.check()
    return certificates


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    application: McpMount
    operator: OperatorApplication
    live: LiveSessions
    drain_seconds: float


async def _start(settings: Settings, node: Node, parts: AsyncExitStack, clock: Clock) -> _Running:
    """Start the parts, each with its end on the stack."""
    store = await open_store(settings, role="server" if settings.cluster == "none" else "member")
    parts.push_async_callback(store.close)
    await ensure_first_key(store, settings.data_dir, account=settings.account)
    ended = await store.end_sessions_of_dead_server(SERVER_DIED)
    parts.push_async_callback(node.close)
    await node.start()
    pool = Pools(node, cell_limits(settings), PoolBounds(settings.pool_size, settings.max_pool_size), clock)
    parts.push_async_callback(pool.close)
    await pool.start()
    telemetry = open_telemetry(settings, parts)
    observer = telemetry.observer
    metering = Metering(store, clock)
    metering.start()
    parts.push_async_callback(metering.close)
    calls_at_once = settings.max_calls_per_session
    live = LiveSessions(store, pool, clock, metering=metering, calls_at_once=calls_at_once, on_end=observer.session_ended)
    live.start()
    parts.push_async_callback(live.close, SERVER_STOPPED)
    service = Service(store=store, live=live, settings=settings, clock=clock)
    parts.push_async_callback(service.close)
    housekeeping = asyncio.create_task(_purge_now_and_then(store, settings, clock), name="purge")
    parts.push_async_callback(_cancel, housekeeping)
    _log.info("started", sessions_of_a_dead_server=ended)
    figures = LiveFigures(live, pool, node)
    keys = KeyRing(store)
    application = Application(
        service=service,
        keys=keys,
        clock=clock,
        max_large_bodies=settings.max_large_bodies,
        pages=_pages(settings, telemetry, figures),
        observer=observer,
    )
    operator = OperatorApplication(live, figures, telemetry.audit)
    mcp = McpMount(application, service, keys, settings=settings, observer=observer, clock=clock)
    parts.push_async_callback(mcp.close)
    return _Running(application=mcp, operator=operator, live=live, drain_seconds=settings.drain_seconds)


def _pages(settings: Settings, telemetry: Telemetry, figures: LiveFigures) -> dict[str, PlainPage]:
    pages = {"/ping": health(figures.live_count), "/ready": readiness(figures)}
    return pages | metrics_page(settings, telemetry.counters, figures)


async def _listen(running: _Running, http: HttpServer, stop: StopSignals) -> None:
    """Answer requests; on a signal give calls their time, end the sessions, then close the connections."""
    serving = asyncio.create_task(http.serve(), name="http")
    try:
        if await _finished_before(serving, stop.asked, cancel=False):
            serving.result()
            return
        running.live.begin_draining()
        draining = asyncio.create_task(running.live.wait_idle(running.drain_seconds), name="drain")
        await _finished_before(draining, stop.at_once)
        await running.live.close(SERVER_STOPPED)
        await running.application.close()  # its clients keep streams open, which would be waited for
    finally:
        await _close_http(http, serving)


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
