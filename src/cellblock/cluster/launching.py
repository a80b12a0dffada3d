"""The front end's side of the launcher: its process is kept running, and told what sessions found no room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable

import structlog

from cellblock.cluster.node_settings import all_settings
from cellblock.machine.pauses import Pauses
from cellblock.settings.sources import FILE_VARIABLE, PREFIX
from cellblock.settings.table import Settings, host_environment

COMMAND = (sys.executable, "-m", "cellblock.cluster.ray_launcher")
TELL_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
STOP_SECONDS = 5.0

_log = structlog.get_logger("cellblock.cluster")


class Launching:
    """Owns the process. The front end goes on whether it runs or not: what it does for calls is nothing."""

    def __init__(self, settings: Settings, demand: Callable[[], int], command: tuple[str, ...] = COMMAND) -> None:
        kept = {name: value for name, value in host_environment().items() if not name.startswith(PREFIX) and name != FILE_VARIABLE}
        self._environment = kept | {"RAY_USAGE_STATS_ENABLED": "0"} | all_settings(settings)
        self._demand = demand
        self._command = command
        self._task = asyncio.create_task(self._keep(), name="launcher")

    async def close(self) -> None:
        """End the process; the nodes go on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        pauses = Pauses(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while True:
            started = asyncio.get_running_loop().time()
            status = await self._run_once()
            pause = pauses.after(asyncio.get_running_loop().time() - started)
            _log.warning("the launcher ended and is started again", status=status, after_seconds=pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> int | None:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, env=self._environment)
        telling = asyncio.create_task(self._tell(process), name="tell launcher")
        try:
            return await process.wait()
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await _end(process)

    async def _tell(self, process: Process) -> None:
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            while True:
                process.stdin.write(json.dumps({"demand": self._demand()}).encode() + b"\n")
                await process.stdin.drain()
                await asyncio.sleep(TELL_SECONDS)


async def _end(process: Process) -> None:
    """The end of its lines tells it; one that waits for Ray does not read them."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
