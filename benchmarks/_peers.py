"""What Cellblock is compared with: the same work behind one interface. A peer that this machine lacks says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from _boxes import Bundle, NotHere, Piped, bwrap_command
from _jupyter import contained_kernels, gateway, kernels
from _serving import REST_SECONDS, Server, Session, descendants, server

from cellblock import client as own
from cellblock.runtime.layout import Runtime

OURS, IPYKERNEL, GATEWAY, BWRAP, OCI = "Cellblock", "ipykernel", "jupyter-kernel-gateway", "bwrap", ("crun", "runc", "runsc")
OURS_COLD = f"{OURS} without a pool"
OURS_THIN = f"{OURS} by its own client"
OURS_AT_MOST = 200


class Box(Protocol):
    """A session of a peer."""

    def run(self, code: str) -> str:
        """What the code prints; variables stay from call to call."""

    def close(self) -> None:
        """End it, and wait until it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Something that opens sessions."""

    open: Callable[[], Box]
    processes: Callable[[], list[int]]  # of everything that it runs on this machine
    settle: Callable[[int], None] = lambda alive: None  # wait until nothing is under way beside so many sessions


PeerContext = AbstractContextManager[Peer]


def all_peers(built: Runtime, directory: Path, pool: int) -> dict[str, Callable[[], PeerContext]]:
    """How to begin each of them; raises NotHere."""
    bundle = Bundle(built, directory)
    return {
        OURS: lambda: ours(pool),
        OURS_COLD: lambda: ours(0),
        OURS_THIN: lambda: ours_by_own_client(pool),
        IPYKERNEL: lambda: ipykernel(built, directory),
        GATEWAY: lambda: jupyter_gateway(built, directory),
        BWRAP: lambda: bubblewrap(bundle),
        **{name: partial(container, name, bundle) for name in OCI},
        **{contained(name): partial(contained_ipykernel, name, built, directory / f"{name}-ipykernel") for name in OCI},
    }


@dataclass(frozen=True, slots=True)
class _Ours:
    session: Session

    def run(self, code: str) -> str:
        return self.session.run(code)

    def close(self) -> None:
        self.session.stop()


@dataclass(frozen=True, slots=True)
class _OursByOwnClient:
    session: own.Session

    def run(self, code: str) -> str:
        return self.session.run(code).stdout.rstrip("\n")

    def close(self) -> None:
        self.session.stop()


@contextmanager
def ours(pool: int) -> Iterator[Peer]:
    """A server and a stock boto3 client."""
    with _serving_with(pool) as running:
        client = running.client()
        yield _peer(running, pool, lambda: _Ours(Session(client)))


@contextmanager
def ours_by_own_client(pool: int) -> Iterator[Peer]:
    """A server and cellblock.client, as the Jupyter peers have Jupyter's own clients."""
    with _serving_with(pool) as running, own.Client(data_dir=running.data_dir) as client:
        yield _peer(running, pool, lambda: _OursByOwnClient(client.session().start()))


def _serving_with(pool: int) -> AbstractContextManager[Server]:
    return server(pool_size=pool, max_sessions=OURS_AT_MOST, rest_seconds=REST_SECONDS)


def _peer(running: Server, pool: int, opened: Callable[[], Box]) -> Peer:
    def settle(alive: int) -> None:
        running.wait_for_pool(pool, busy=alive)
        running.wait_for_rest(alive)

    return Peer(open=opened, processes=lambda: descendants(running.pid), settle=settle)


@contextmanager
def ipykernel(built: Runtime, directory: Path) -> Iterator[Peer]:
    """A kernel for each session, through jupyter_client."""
    opened, pids = kernels(built, directory)
    yield Peer(open=opened, processes=lambda: [one for pid in pids() for one in descendants(pid)])


@contextmanager
def jupyter_gateway(built: Runtime, directory: Path) -> Iterator[Peer]:
    """The same kernels behind HTTP and a websocket."""
    with gateway(built, directory) as (opened, pid):
        yield Peer(open=opened, processes=lambda: descendants(pid))


@contextmanager
def bubblewrap(bundle: Bundle) -> Iterator[Peer]:
    """A new Python in new namespaces, without limits and without a filter of system calls."""
    command = bwrap_command(bundle, installed("bwrap"))
    yield piped(lambda: Piped(command, end=None))


@contextmanager
def container(name: str, bundle: Bundle) -> Iterator[Peer]:
    """A new Python in a container of an OCI runtime."""
    program = installed(name)
    yield piped(lambda: bundle.container(program))


@contextmanager
def contained_ipykernel(name: str, built: Runtime, directory: Path) -> Iterator[Peer]:
    """A kernel in a container of an OCI runtime for each session, through jupyter_client."""
    program = installed(name)
    directory.mkdir()
    opened, containers = contained_kernels(built, directory, program)
    yield Peer(open=opened, processes=lambda: [one for box in containers() if box.is_alive for one in descendants(box.pid)])


def contained(name: str) -> str:
    """How such a peer is named."""
    return f"{IPYKERNEL} in {name}"


def piped(begin: Callable[[], Piped]) -> Peer:
    """Sessions that are processes below this one."""
    alive: list[Piped] = []

    def opened() -> Piped:
        alive.append(begin())
        return alive[-1]

    return Peer(open=opened, processes=lambda: [one for box in alive if box.is_alive for one in descendants(box.pid)])


def installed(name: str) -> str:
    """The program's path."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise NotHere(f"{name} is not installed")
    return found
