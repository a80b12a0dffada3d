"""The user-mode network stack of one cell: a process beside it that turns its packets into ordinary sockets of the host."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import select
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cellblock.errors import HostNotReady
from cellblock_cell.stack_launch import NAMESPACE, Launch

PROGRAM = "slirp4netns"
TUN = Path("/dev/net/tun")
NETWORK = "198.18.0.0/24"  # of RFC 2544's range for laboratories, in which no service of the internet can be
NAME_SERVER = "198.18.0.3"  # where the stack passes questions on to the host's own name server
INTERFACE = "tap0"
_READY_SECONDS = 20
_END_SECONDS = 5
_ERROR_BYTES = 4096
_PACKET_BYTES = 65520
_TOP = tuple(Path("/", name) for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"))
_RESOLVER = Path("/etc/resolv.conf")
_STAGE = "import sys; sys.path.insert(0, sys.argv[1]); from cellblock_cell import stack_launch; sys.exit(stack_launch.main())"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """What all stacks of a node have in common: the copy of the cell's package, and the id they run under (None: the server's own)."""

    code: Path
    owner: int | None


@dataclass(frozen=True, slots=True)
class Joined:
    """The cell that a stack serves, by its first process, with the descriptors of its agent's control groups."""

    pid: int
    pidfd: int
    groups: Sequence[int]


def missing() -> str:
    """Why this machine cannot run a stack for this user; the empty string when it can."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed"
    if not TUN.exists():
        return f"{TUN} is missing"
    if not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} is closed to this user"
    return ""


class UserNetwork:
    """A running stack. Its owner closes it; it ends by itself when this process does."""

    def __init__(self, process: asyncio.subprocess.Process, ready: int, alive: int) -> None:
        self._process = process
        self._ready = ready
        self._alive = alive
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, plan: StackPlan, cell: Joined) -> UserNetwork:
        """Start it; `wait_ready` says when the cell has its interface. Raises HostNotReady."""
        with contextlib.ExitStack() as theirs:
            namespaces = [_open(theirs, f"/proc/{cell.pid}/ns/{kind}") for kind in ("user", "net")]
            _refuse_ended(cell)
            ready, tell = os.pipe()
            hear, alive = os.pipe()
            for descriptor in (tell, hear):
                theirs.callback(os.close, descriptor)
            launch = Launch(
                owner=plan.owner,
                groups=[*cell.groups],
                user_namespace=namespaces[0],
                network_namespace=namespaces[1],
                binds=["/usr", "/etc/ld.so.cache", *(str(path) for path in _TOP if path.is_dir() and not path.is_symlink())],
                links={str(path): os.readlink(path) for path in _TOP if path.is_symlink()},
                name_servers=_name_servers(),
                program=_command(ready=tell, alive=hear),
            )
            try:
                process = await _execute(plan, launch, (*namespaces, tell, hear, *cell.groups))
            except BaseException:
                os.close(ready)
                os.close(alive)
                raise
        return cls(process, ready, alive)

    async def wait_ready(self) -> None:
        """Until the cell has its interface and its routes. Raises HostNotReady."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_reader(self._ready, told.set)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await told.wait()
        except TimeoutError as error:
            raise HostNotReady(f"{PROGRAM} was not ready within {_READY_SECONDS} s") from error
        finally:
            loop.remove_reader(self._ready)
        if not os.read(self._ready, 1):
            raise HostNotReady(f"{PROGRAM} did not start: {await self._last_words()}")
        self._reading = asyncio.create_task(self._forget_words(), name=f"words of {PROGRAM}")

    async def close(self) -> None:
        """End the process and wait for its end."""
        for descriptor in (self._ready, self._alive):  # the end of the second one tells it to end
            os.close(descriptor)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _forget_words(self) -> None:
        """What it says of packets must not fill the pipe: it would wait for a reader."""
        assert self._process.stderr is not None
        while await self._process.stderr.read(_ERROR_BYTES):
            pass

    async def _last_words(self) -> str:
        assert self._process.stderr is not None
        lines = (await self._process.stderr.read(_ERROR_BYTES)).decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


def _open(stack: contextlib.ExitStack, path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _refuse_ended(cell: Joined) -> None:
    """While the process lives its id belongs to nobody else, so that what was opened under it is the cell's."""
    if select.select([cell.pidfd], [], [], 0)[0]:
        raise HostNotReady("the cell ended before it had its network")


def _command(*, ready: int, alive: int) -> list[str]:
    """The whole command; the host's loopback stays closed, and the program denies itself what it does not need."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise HostNotReady(f"{PROGRAM} is not installed")
    network = ["--configure", f"--mtu={_PACKET_BYTES}", f"--cidr={NETWORK}", "--disable-host-loopback"]
    descriptors = [f"--ready-fd={ready}", f"--exit-fd={alive}"]
    return [program, *network, *descriptors, "--enable-seccomp", "--netns-type=path", NAMESPACE, INTERFACE]


async def _execute(plan: StackPlan, launch: Launch, descriptors: Sequence[int]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-B", "-c", _STAGE, str(plan.code), json.dumps(dataclasses.asdict(launch))),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=descriptors,
        env={},
        cwd="/",
        start_new_session=True,
    )


def _name_servers() -> str:
    """The host's, without its search list: names of the host's own domain are nothing that a session asks for."""
    lines = _RESOLVER.read_text().splitlines() if _RESOLVER.exists() else []
    return "".join(f"{line}\n" for line in lines if line.startswith("nameserver"))
