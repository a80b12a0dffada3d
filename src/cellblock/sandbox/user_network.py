"""The user-mode network stack of one cell: a process beside it that turns its packets into ordinary sockets of the host."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import select
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from cellblock.errors import HostNotReady
from cellblock.sandbox.network_stacks import Stack
from cellblock_cell.stack_launch import Launch

RESTARTS = 3  # of one cell's stack
_RESTART_SECONDS = 1.0
_READY_SECONDS = 20
_ERROR_BYTES = 4096
_TOP = tuple(Path("/", name) for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"))
_RESOLVER = Path("/etc/resolv.conf")
_STAGE = "import sys; sys.path.insert(0, sys.argv[1]); from cellblock_cell import stack_launch; sys.exit(stack_launch.main())"

_log = structlog.get_logger("cellblock.network")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """What all stacks of a node have in common: the copy of the cell's package, and the id they run under (None: the server's own)."""

    code: Path
    owner: int | None


@dataclass(frozen=True, slots=True)
class Joined:
    """The cell that a stack serves, by its first process, and what opens the lists of its agent's control groups."""

    name: str
    pid: int
    pidfd: int
    open_groups: Callable[[], Sequence[int]]


class UserNetwork:
    """The stack of a cell, and another one when that has died. Its owner closes it; it ends by itself when this process does.

    Who broke one by what he sent has few tries: a stack's addresses differ each time.
    """

    def __init__(self, plan: StackPlan, cell: Joined, stack: Stack) -> None:
        self._plan = plan
        self._cell = cell
        self._stack = stack
        self._running: _Running | None = None
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, plan: StackPlan, cell: Joined, stack: Stack) -> UserNetwork:
        """Start it; `wait_ready` says when the cell has its interface. Raises HostNotReady."""
        made = cls(plan, cell, stack)
        made._running = await _Running.start(plan, cell, stack)
        return made

    async def wait_ready(self) -> None:
        """Until the cell has its interface and its routes. Raises HostNotReady."""
        assert self._running is not None
        await self._running.wait_ready()
        self._keeping = asyncio.create_task(self._keep(), name="keep a network stack")

    async def close(self) -> None:
        """End the process and wait for its end."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._running is not None:
            await self._running.close()

    async def _keep(self) -> None:
        """Connections of the one that died are lost; new ones go through the next."""
        for left in reversed(range(RESTARTS + 1)):
            assert self._running is not None
            status = await self._running.wait_ended()
            if _has_ended(self._cell):
                return
            _log.warning("a network stack has died", stack=self._stack.name, cell=self._cell.name, status=status, restarts_left=left)
            if not left:
                return
            await self._running.close()
            await asyncio.sleep(_RESTART_SECONDS)
            try:
                self._running = await _Running.start(self._plan, self._cell, self._stack)
                await self._running.wait_ready()
            except (HostNotReady, OSError) as error:
                _log.warning("a network stack was not started again", stack=self._stack.name, cell=self._cell.name, reason=str(error))
                await self._running.close()


class _Running:
    """One process of a stack."""

    def __init__(self, stack: Stack, process: asyncio.subprocess.Process, ready: int, alive: int) -> None:
        self._stack = stack
        self._process = process
        self._descriptors = [ready, alive]
        self._ready = ready
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, plan: StackPlan, cell: Joined, stack: Stack) -> _Running:
        """Raises HostNotReady."""
        with contextlib.ExitStack() as theirs:
            namespaces = [_open(theirs, f"/proc/{cell.pid}/ns/{kind}") for kind in ("user", "net")]
            if _has_ended(cell):
                raise HostNotReady("the cell ended before it had its network")
            groups = list(cell.open_groups())
            ready, tell = os.pipe()
            hear, alive = os.pipe()
            for descriptor in (tell, hear, *groups):
                theirs.callback(os.close, descriptor)
            try:
                launch = Launch(
                    owner=plan.owner,
                    groups=groups,
                    user_namespace=namespaces[0],
                    network_namespace=namespaces[1],
                    binds=["/usr", "/etc/ld.so.cache", *(str(path) for path in _TOP if path.is_dir() and not path.is_symlink())],
                    links={str(path): os.readlink(path) for path in _TOP if path.is_symlink()},
                    name_servers=_name_servers(),
                    confines_itself=stack.confines_itself,
                    program=stack.command(),
                )
                process = await _execute(plan, launch, (hear, tell))
            except BaseException:
                os.close(ready)
                os.close(alive)
                raise
        return cls(stack, process, ready, alive)

    async def wait_ready(self) -> None:
        """Until the cell has its interface and its routes. Raises HostNotReady."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_reader(self._ready, told.set)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await told.wait()
        except TimeoutError as error:
            raise HostNotReady(f"{self._stack.name} was not ready within {_READY_SECONDS} s") from error
        finally:
            loop.remove_reader(self._ready)
        if not os.read(self._ready, 1):
            raise HostNotReady(f"{self._stack.name} did not start: {await self._last_words()}")
        self._reading = asyncio.create_task(self._forget_words(), name=f"words of {self._stack.name}")

    async def wait_ended(self) -> int:
        """What it ended with."""
        return await self._process.wait()

    async def close(self) -> None:
        """End the process and wait for its end; may be called again."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()  # it has nothing to put in order
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


def _has_ended(cell: Joined) -> bool:
    """While the process lives its id belongs to nobody else, so that what was opened under it is the cell's."""
    return bool(select.select([cell.pidfd], [], [], 0)[0])


async def _execute(plan: StackPlan, launch: Launch, standard: tuple[int, int]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-B", "-c", _STAGE, str(plan.code), json.dumps(dataclasses.asdict(launch))),
        stdin=standard[0],
        stdout=standard[1],
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(launch.user_namespace, launch.network_namespace, *launch.groups),
        env={},
        cwd="/",
        start_new_session=True,
    )


def _name_servers() -> str:
    """The host's, without its search list: names of the host's own domain are nothing that a session asks for."""
    lines = _RESOLVER.read_text().splitlines() if _RESOLVER.exists() else []
    return "".join(f"{line}\n" for line in lines if line.startswith("nameserver"))
