"""Turns a session's grants into what a cell is made with: descriptors, names of mounts, variables, and a way to S3."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cellblock.grants import grants_file
from cellblock.grants.broker import address
from cellblock.grants.broker.orders import Begin, Open
from cellblock.grants.broker.server_end import BrokerProcess
from cellblock.model.calls import Grants
from cellblock.sandbox.mounts import detach
from cellblock.settings.table import Settings
from cellblock_cell.granted import BUNDLE, CERTIFICATES

_TRUSTING = (
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS"),
    *("AWS_CA_BUNDLE", "PIP_CERT", "DENO_CERT"),
)
"""The variables by which OpenSSL and Python, requests, curl, git, Node, the AWS SDKs, pip and Deno find certificates."""


@dataclass(slots=True, kw_only=True)
class Prepared:
    """What the request for a cell says of its grants; the descriptors are closed by who prepared them."""

    descriptors: list[tuple[str, int]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    mounts: tuple[str, ...] = ()
    writable_mounts: tuple[str, ...] = ()
    services: socket.socket | None = None
    order: Open | None = None


class Granting:
    """The grants of one node's cells, and the broker behind them. Close it."""

    def __init__(self, settings: Settings, code: Path) -> None:
        self._code = code
        self._region = settings.region
        self._roles = grants_file.read(settings.grants_file).roles if settings.s3_endpoint else {}
        self.broker = BrokerProcess(
            Begin(
                endpoint=settings.s3_endpoint,
                region=settings.region,
                token_endpoint=settings.sts_endpoint,
                credentials_seconds=settings.credentials_seconds,
            )
        )

    async def close(self) -> None:
        """End the broker."""
        await self.broker.close()

    @asynccontextmanager
    async def prepared(self, grants: Grants, host_ids: tuple[int, int] | None) -> AsyncIterator[Prepared]:
        """For the time in which the cell is made; `host_ids` are None when the cell has those of this process. Raises MountFailed."""
        made = Prepared()
        async with AsyncExitStack() as owned:
            if grants.mounts:
                await self._mount(grants, host_ids, made, owned)
            if grants.certificates:
                descriptor = _in_memory(grants.certificates)
                owned.callback(os.close, descriptor)
                made.descriptors.append(("certificates", descriptor))
                made.environment |= dict.fromkeys(_TRUSTING, f"{CERTIFICATES}/{BUNDLE}")
            if role := self._roles.get(grants.role_arn):
                order = Open(session_id=grants.session_id, role_arn=grants.role_arn, role=role, token=secrets.token_urlsafe(32))
                self._offer_s3(order, made, owned)
            yield made

    async def connect(self, made: Prepared) -> None:
        """The cell has said HELLO, so its listener is there: let the broker answer at it. Raises OSError."""
        if made.services is None or made.order is None:
            return
        _, (descriptor,), _, _ = socket.recv_fds(made.services, 64, 1, socket.MSG_DONTWAIT)
        os.set_inheritable(descriptor, False)
        await self.broker.open(made.order, socket.socket(fileno=descriptor))

    async def end(self, grants: Grants) -> None:
        """The cell is gone."""
        await self.broker.forget(grants.session_id)

    async def _mount(self, grants: Grants, host_ids: tuple[int, int] | None, made: Prepared, owned: AsyncExitStack) -> None:
        for descriptor in await detach(grants.mounts, code=self._code, host_ids=host_ids):
            owned.callback(os.close, descriptor)
            made.descriptors.append(("mount", descriptor))
        made.mounts = tuple(mount.name for mount in grants.mounts)
        made.writable_mounts = tuple(mount.name for mount in grants.mounts if not mount.read_only)

    def _offer_s3(self, order: Open, made: Prepared, owned: AsyncExitStack) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.services = owned.enter_context(ours)
        made.descriptors.append(("services", owned.enter_context(theirs).fileno()))
        made.order = order
        made.ports = (address.PORT,)
        made.environment |= address.environment(token=order.token, region=self._region)


def _in_memory(text: str) -> int:
    descriptor = os.memfd_create("certificates", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w", encoding="ascii", closefd=False) as file:
        file.write(text)
    return descriptor
