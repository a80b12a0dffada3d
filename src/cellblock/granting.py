"""Turns a session's grants into what a cell is made with: descriptors, names of mounts, variables."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cellblock.calls import Grants
from cellblock.sandbox.mounts import detach
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
    mounts: tuple[str, ...] = ()
    writable_mounts: tuple[str, ...] = ()


@asynccontextmanager
async def prepared(grants: Grants, *, code: Path, host_ids: tuple[int, int] | None) -> AsyncIterator[Prepared]:
    """For the time in which the cell is made; `host_ids` are None when the cell has those of this process. Raises HostNotReady."""
    made = Prepared()
    async with AsyncExitStack() as owned:
        if grants.mounts:
            for descriptor in await detach(grants.mounts, code=code, host_ids=host_ids):
                owned.callback(os.close, descriptor)
                made.descriptors.append(("mount", descriptor))
            made.mounts = tuple(mount.name for mount in grants.mounts)
            made.writable_mounts = tuple(mount.name for mount in grants.mounts if not mount.read_only)
        if grants.certificates:
            descriptor = _in_memory(grants.certificates)
            owned.callback(os.close, descriptor)
            made.descriptors.append(("certificates", descriptor))
            made.environment |= dict.fromkeys(_TRUSTING, f"{CERTIFICATES}/{BUNDLE}")
        yield made


def _in_memory(text: str) -> int:
    descriptor = os.memfd_create("certificates", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w", encoding="ascii", closefd=False) as file:
        file.write(text)
    return descriptor
