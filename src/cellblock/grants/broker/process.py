"""The broker's process: takes orders from the server on an inherited socket and ends when that closes."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import uvloop

from cellblock.grants.broker import address, doors
from cellblock.grants.broker.credentials import SessionCredentials
from cellblock.grants.broker.doors import Door
from cellblock.grants.broker.exchange import Access
from cellblock.grants.broker.orders import Begin, Close, Closed, Open, Refusal, Report, encode, read_order
from cellblock.grants.broker.refusals import shown
from cellblock.grants.broker.requests import Reach
from cellblock.grants.roles import RoleCredentials, TokenService
from cellblock.machine.helper_process import MESSAGE_BYTES
from cellblock_cell import linux

_REFUSALS_TOLD = 100  # of one session: what it is refused must not fill the log


class Broker:
    """The doors of all sessions."""

    def __init__(self, control: socket.socket, begin: Begin) -> None:
        self._control = control
        self._begin = begin
        self._doors: dict[str, Door] = {}
        self._told: dict[str, int] = {}

    async def serve(self) -> None:
        """Until the server closes its end."""
        while message := await self._message():
            data, descriptors = message
            order = read_order(data)
            if isinstance(order, Open):
                self._open(order, socket.socket(fileno=descriptors[0]))
            elif isinstance(order, Close):
                await self._close(order.session_id)

    async def close(self) -> None:
        """Close every door."""
        for session_id in list(self._doors):
            await self._close(session_id)

    async def _message(self) -> tuple[bytes, list[int]] | None:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._control, _once(readable))
        try:
            await readable
        finally:
            loop.remove_reader(self._control)
        data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, 1)
        return (data, descriptors) if data else None

    def _open(self, order: Open, listener: socket.socket) -> None:
        door = Door(listener, self._access(order))
        self._doors[order.session_id] = door
        door.open()

    async def _close(self, session_id: str) -> None:
        if door := self._doors.pop(session_id, None):
            await door.close()
        self._told.pop(session_id, None)
        self._report(Closed(session_id=session_id))

    def _access(self, order: Open) -> Access:
        role, begin, where = order.role, self._begin, urlsplit(self._begin.endpoint)
        tls = where.scheme == "https"
        port = where.port or (443 if tls else 80)
        service = TokenService(endpoint=begin.token_endpoint, region=begin.region)
        lifetime = timedelta(seconds=begin.credentials_seconds)
        return Access(
            session_id=order.session_id,
            reach=Reach(
                role_arn=order.role_arn,
                buckets=role.buckets,
                read_only=role.read_only,
                hosts=(*address.OWN_NAMES, *_names(where.hostname or "", port, tls=tls)),
            ),
            issued=SessionCredentials(token=order.token, role_arn=order.role_arn, lifetime=lifetime),
            role=RoleCredentials(order.role_arn, role, service, session_name=order.session_id),
            endpoint=begin.endpoint.rstrip("/"),
            region=begin.region,
            connect=partial(doors.connect, where.hostname or "", port, tls=tls),
            on_refused=partial(self._refused, order.session_id),
        )

    def _refused(self, session_id: str, request: str, reason: str) -> None:
        told = self._told[session_id] = self._told.get(session_id, 0) + 1
        if told < _REFUSALS_TOLD:
            self._report(Refusal(session_id=session_id, request=shown(request), reason=shown(reason)))
        elif told == _REFUSALS_TOLD:
            self._report(Refusal(session_id=session_id, request="", reason="and more, which are not told"))

    def _report(self, report: Report) -> None:
        """Never waits: a server that is busy has enough to read."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._control.send(encode(report))


def _once(future: asyncio.Future[None]) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(None)


def _names(host: str, port: int, *, tls: bool) -> tuple[str, ...]:
    """How S3's own address may be written as a host, by those who use this as a proxy."""
    return (f"{host}:{port}", host) if port == (443 if tls else 80) else (f"{host}:{port}",)


async def _run(control: socket.socket) -> None:
    begin = read_order(control.recv(MESSAGE_BYTES))
    assert isinstance(begin, Begin)
    control.setblocking(False)
    broker = Broker(control, begin)
    try:
        await broker.serve()
    finally:
        await broker.close()


def main() -> None:
    """Run by the server with the descriptor of the control socket as the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the server, which closes the socket when sessions are over
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold keys
    linux.keep_capabilities()  # none: of what root has it needs root's files, where profiles lie, and nothing else
    linux.no_new_privileges()
    uvloop.run(_run(socket.socket(fileno=int(sys.argv[-1]))))


if __name__ == "__main__":
    main()
