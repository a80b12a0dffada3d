"""Cells kept open ahead of the sessions that will use them, each for one session only."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog

from cellblock.errors import HostNotReady
from cellblock.machine.clock import Clock
from cellblock.model.calls import Cell, CellLimits, Node
from cellblock.sessions.arrivals import Arrivals

COURTESY_SECONDS = 0.05  # the session that took a cell runs its first code before another cell is made, while one waits
WARM_UP_SECONDS = 0.06  # what is taken sooner is in the midst of a burst, which has no time for it
REFILL_PAUSE_SECONDS = 1.0  # after a failed start, so that a broken host is not asked in a loop

_log = structlog.get_logger("cellblock.pool")


@dataclass(frozen=True, slots=True)
class PoolBounds:
    """How many cells wait: at least so many, and up to `most` while sessions come fast. A least of 0 switches the pool off."""

    least: int
    most: int

    def hold(self, wanted: int) -> int:
        """The nearest number that is allowed."""
        return max(self.least, min(wanted, self.most)) if self.least else 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    cell: Cell
    watch: asyncio.Task[None]


class Pool:
    """Holds unused cells of one kind, as many as sessions came at once lately, and opens new ones in the background."""

    def __init__(self, node: Node, limits: CellLimits, bounds: PoolBounds, clock: Clock) -> None:
        self._node = node
        self._limits = limits
        self._bounds = bounds
        self._arrivals = Arrivals()
        self._is_failing = False
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._wanted = asyncio.Event()
        self._emptied = asyncio.Event()
        self._refill: asyncio.Task[None] | None = None
        self._warming: set[asyncio.Task[None]] = set()

    @property
    def ready_count(self) -> int:
        """How many cells wait for a session."""
        return len(self._waiting)

    @property
    def size(self) -> int:
        """How many cells wait when it is full, as sessions come at present."""
        return self._bounds.hold(self._arrivals.most(self._clock.now()))

    @property
    def is_failing(self) -> bool:
        """Whether the last cell could not be opened."""
        return self._is_failing

    async def start(self) -> None:
        """Open the first cell, which shows that the host can, and the others in the background. Raises HostNotReady."""
        first = await self._node.open_cell(self._limits)
        if self.size == 0:
            await first.close()
            return
        self._keep(first)
        self.begin()

    def begin(self) -> None:
        """Fill it in the background."""
        self._wanted.set()
        self._refill = asyncio.create_task(self._keep_full(), name="pool refill")

    async def take(self) -> Cell:
        """A cell that has run nothing; the caller closes it. A burst that finds none waiting has them opened side by side.

        Raises HostNotReady.
        """
        self._arrivals.add(self._clock.now())
        self._wanted.set()
        while self._waiting:
            found = self._waiting.popleft()
            if not self._waiting:
                self._emptied.set()
            if not found.watch.done():
                found.watch.cancel()
                return found.cell
        return await self._node.open_cell(self._limits)

    async def close(self) -> None:
        """Stop opening cells and close those that wait."""
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        while self._waiting:
            await self._close_oldest()
        for warming in self._warming:
            warming.cancel()
        await asyncio.gather(*self._warming, return_exceptions=True)

    async def _keep_full(self) -> None:
        while True:
            await self._clock.wait(self._wanted, self._arrivals.next_change())
            self._wanted.clear()
            if self._waiting:
                await self._clock.wait(self._emptied, self._clock.now() + COURTESY_SECONDS)
            while len(self._waiting) < self.size:
                await self._open_another()
            while len(self._waiting) > self.size:
                await self._close_oldest()

    async def _open_another(self) -> None:
        try:
            self._keep(await self._node.open_cell(self._limits))
        except HostNotReady as error:
            self._is_failing = True
            _log.error("no cell for the pool", reason=str(error))
            await self._clock.wait(asyncio.Event(), self._clock.now() + REFILL_PAUSE_SECONDS)

    async def _close_oldest(self) -> None:
        left = self._waiting.popleft()
        left.watch.cancel()
        await left.cell.close()

    def _keep(self, cell: Cell) -> None:
        self._is_failing = False
        self._emptied.clear()
        self._waiting.append(_Waiting(cell, asyncio.create_task(self._discard_when_dead(cell), name=f"watch {cell.name}")))
        warming = asyncio.create_task(self._warm_up(cell), name=f"warm up {cell.name}")
        self._warming.add(warming)
        warming.add_done_callback(self._warming.discard)

    async def _warm_up(self, cell: Cell) -> None:
        """A session that takes the cell in the midst of it has its turn after it."""
        await self._clock.wait(asyncio.Event(), self._clock.now() + WARM_UP_SECONDS)
        if any(waiting.cell is cell for waiting in self._waiting):
            await cell.warm_up()

    async def _discard_when_dead(self, cell: Cell) -> None:
        reason = await cell.wait_ended()
        _log.warning("a waiting cell died", cell=cell.name, reason=reason)
        self._waiting = deque(waiting for waiting in self._waiting if waiting.cell is not cell)
        await cell.close()
        self._wanted.set()
