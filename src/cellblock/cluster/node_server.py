"""The process of a node: the server of one machine, found by front ends through the table of nodes. `python -m` runs it."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from cellblock.cluster.capacity import machine_memory, sessions_capacity
from cellblock.cluster.lease import Lease
from cellblock.errors import CellblockError, CommandFailed
from cellblock.http.mcp_mount import Application
from cellblock.http.server import LAST_ANSWERS_SECONDS
from cellblock.machine.data_directory import prepare_data_directory
from cellblock.machine.listeners import Address
from cellblock.machine.signals import StopSignals
from cellblock.model.calls import Node
from cellblock.model.resources import ClusterNode, NodeFigures, new_node_id, now
from cellblock.nodes.local import LocalNode
from cellblock.observing import log_lines
from cellblock.observing.audit_log import LOG_DIRECTORY
from cellblock.observing.plain_pages import PlainPage
from cellblock.observing.rotating_file import RotatingFile
from cellblock.runtime.builds import Runtime
from cellblock.server import Parts, serve_as
from cellblock.sessions.room import Room
from cellblock.settings.table import Settings, load
from cellblock.terminal import display
from cellblock.terminal.command_line import fail, run

LEFT = "its node was stopped"
ANYWHERE = ("0.0.0.0", "::")


class AsNode:
    """Implements the server's Shape: one incarnation of a node."""

    has_cells = True
    last_answers_seconds = LAST_ANSWERS_SECONDS

    def __init__(self, settings: Settings, node: Node, *, on_lost: Callable[[], None]) -> None:
        self.node = node
        self.node_id = new_node_id()
        self._settings = settings
        self._on_lost = on_lost
        self._parts: Parts | None = None
        self._lease: Lease | None = None
        self._capacity = sessions_capacity(settings)

    @property
    def name(self) -> str:
        """What people call the machine."""
        return self._settings.node_name or socket.gethostname()

    def room(self) -> Room:
        """See Shape."""
        return Room(calls_at_once=self._settings.max_calls_per_session, sessions=self._capacity)

    def pages(self) -> dict[str, PlainPage]:
        """See Shape."""
        return {}

    async def enter(self, parts: Parts) -> Application:
        """See Shape."""
        self._parts = parts
        alone_seconds = self._settings.node_alone_seconds
        self._lease = Lease(parts.store, parts.clock, host=self, figures=self._figures, alone_seconds=alone_seconds)
        parts.ends.push_async_callback(self._lease.leave, LEFT)
        return parts.api

    async def listening(self, bound: Address) -> None:
        """See Shape."""
        assert self._lease is not None
        time = now()
        url = self._settings.node_url or bound.url
        await self._lease.join(ClusterNode(id=self.node_id, name=self.name, url=url, started_at=time, seen_at=time))

    def take_sessions(self, is_open: bool) -> None:
        """See `lease.Host`."""
        assert self._parts is not None
        self._parts.room.is_open = is_open

    async def end_sessions(self, reason: str) -> None:
        """See `lease.Host`."""
        assert self._parts is not None
        live = self._parts.live
        await asyncio.gather(*(live.end(session, reason) for session in live.all()))

    def lost(self) -> None:
        """See `lease.Host`."""
        self._on_lost()

    def _figures(self) -> NodeFigures:
        """A node whose cells cannot be opened has no room for sessions."""
        assert self._parts is not None
        figures = self._parts.figures
        free, total = machine_memory()
        return NodeFigures(
            sessions=figures.live_count(),
            sessions_capacity=0 if figures.trouble else self._capacity,
            pool_ready=figures.pool_ready,
            pool_size=figures.pool_size,
            memory_free_bytes=free,
            memory_total_bytes=total,
            cpus=float(len(os.sched_getaffinity(0))),
        )


async def serve_node(settings: Settings, runtime: Runtime, *, stop: StopSignals) -> None:
    """Serve until told to stop: an incarnation that was taken for lost is followed by another one."""
    while not stop.asked.is_set():
        address = Address(host=settings.host, port=settings.port, is_tls=bool(settings.tls_certificate))
        await _serve_once(settings, runtime, address, stop)


async def _serve_once(settings: Settings, runtime: Runtime, address: Address, stop: StopSignals) -> None:
    ours = StopSignals()
    shape = AsNode(settings, LocalNode(settings, runtime), on_lost=ours.ask_at_once)
    relay = asyncio.create_task(_relay(stop, ours), name="relay signals")

    def say_ready(bound: Address) -> None:
        sys.stdout.write(f"cellblock node {shape.name} is ready on {settings.node_url or bound.url}\n")
        sys.stdout.flush()

    try:
        await serve_as(shape, settings, address, stop=ours, on_ready=say_ready)
        stop.on_reload = lambda: None
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)


async def _relay(process: StopSignals, incarnation: StopSignals) -> None:
    process.on_reload = lambda: incarnation.on_reload()
    await process.asked.wait()
    incarnation.ask()
    await process.at_once.wait()
    incarnation.ask()


async def _serve(settings: Settings, runtime: Runtime, *, is_with_parent: bool) -> None:
    stop = StopSignals()
    with stop.caught():
        if is_with_parent:
            asyncio.get_running_loop().add_reader(0, _parent_spoke)
        await serve_node(settings, runtime, stop=stop)


def _parent_spoke() -> None:
    """The starter holds the other end and writes nothing: that standard input can be read means that it is gone.

    The node ends as a killed one does, and all of its cells with it, so that callers are told what is so: their node was lost.
    """
    if not os.read(0, 1024):
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run a node with the settings of the environment."""
    parser = argparse.ArgumentParser(prog="python -m cellblock.cluster.node_server", description="A node of a cluster.")
    parser.add_argument("--with-parent", action="store_true", help="end at once when standard input is closed")
    arguments = parser.parse_args()
    try:
        settings = _settings()
        runtime = display.build_runtime(settings)
        prepare_data_directory(settings.data_dir)
    except CommandFailed as error:
        fail(str(error))
    _run_logged(settings, runtime, is_with_parent=arguments.with_parent)


def _settings() -> Settings:
    """Of the environment; a node is one of a cluster whoever starts it. Raises SettingsError."""
    settings = load()
    if settings.host in ANYWHERE and not settings.node_url:
        raise CommandFailed(f"CELLBLOCK_NODE_URL is needed with CELLBLOCK_HOST={settings.host}: front ends must know the machine's address")
    return dataclasses.replace(settings, cluster="manual") if settings.cluster == "none" else settings


def _run_logged(settings: Settings, runtime: Runtime, *, is_with_parent: bool) -> None:
    path = Path(settings.data_dir / LOG_DIRECTORY / log_lines.LOG_NAME)
    file = RotatingFile(path, limit_bytes=settings.log_file_bytes)
    writer = log_lines.set_up(settings.log_level, sys.stderr, file)
    try:
        run(_serve(settings, runtime, is_with_parent=is_with_parent))
    except (CommandFailed, CellblockError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}")
    finally:
        writer.close()
        file.close()


if __name__ == "__main__":
    main()
