"""Keeps the process of a node running on the machine of a Ray actor, and ends it with the actor."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass

from cellblock.machine.pauses import Pauses

COMMAND = (sys.executable, "-m", "cellblock.cluster.node_server", "--with-parent")
READY = re.compile(rb"cellblock node \S+ is ready on (\S+)\s*")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Told:
    """What an actor says of its node: the actor's life, the node's name, and the address when it serves."""

    life: str
    name: str
    url: str


class NodeKeeper:
    """Starts the process, and again when it has ended, until `stop`. Its other end of standard input closes when this process dies."""

    def __init__(self, environment: Mapping[str, str], command: tuple[str, ...] = COMMAND) -> None:
        self._environment = dict(environment)
        self._command = command
        self._changed = asyncio.Condition()  # of the two below
        self._url = ""
        self._has_stopped = False
        self._process: Process | None = None
        self._task = asyncio.create_task(self._keep(), name="keep node")

    async def url(self) -> str:
        """Where the node serves, once it does; nothing after `stop`."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._url) or self._has_stopped)
            return self._url

    async def ended(self, url: str) -> None:
        """Wait until the process that served there has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._url != url)

    async def stop(self) -> None:
        """Let calls under way end, then the sessions and the process; it is not started again."""
        async with self._changed:
            self._has_stopped = True
            self._changed.notify_all()
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        pauses = Pauses(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not self._has_stopped:
            started = asyncio.get_running_loop().time()
            await self._run_once()
            await asyncio.sleep(pauses.after(asyncio.get_running_loop().time() - started))

    async def _run_once(self) -> None:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, env=self._environment)
        try:
            assert self._process.stdout is not None
            async for line in self._process.stdout:
                if found := READY.fullmatch(line):
                    await self._say(found[1].decode())
            await self._process.wait()
        finally:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            await self._say("")

    async def _say(self, url: str) -> None:
        async with self._changed:
            self._url = url
            self._changed.notify_all()
