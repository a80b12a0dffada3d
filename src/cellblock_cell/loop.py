"""A single-threaded event loop: descriptors and timers, and nothing else."""

from __future__ import annotations

import heapq
import itertools
import math
import selectors
import time
from collections.abc import Callable

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Timer:
    """An action that runs once, unless it is cancelled first."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Let the time pass without the action."""
        self.action = None


class Loop:
    """Calls the watchers of descriptors that are ready and the timers that are due, until it is stopped.

    A watcher gets the events that are ready. An exception out of any action ends the loop: the agent has no half-working state.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()  # timers of the same instant run in the order they were made
        self._is_stopped = False
        self._at_rest: Callable[[], None] = _nothing
        self._rest_seconds = math.inf
        self._rests_at = math.inf

    def watch(self, descriptor: int, events: int, action: Callable[[int], None]) -> None:
        """Call the action when the descriptor is ready; a second call replaces events and action."""
        if descriptor in self._selector.get_map():
            self._selector.modify(descriptor, events, action)
        else:
            self._selector.register(descriptor, events, action)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching; comes before the descriptor is closed, and may come twice."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def call_after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Run the action once, that many seconds from now."""
        timer = Timer(action)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def call_at_rest(self, seconds: float, action: Callable[[], None]) -> None:
        """Run the action each time that no descriptor was ready for so long, once, until the next one is."""
        self._rest_seconds, self._at_rest = seconds, action

    def stop(self) -> None:
        """Return from `run` after the actions of this round."""
        self._is_stopped = True

    def run(self) -> None:
        """Work until `stop`."""
        while not self._is_stopped:
            self._round(self._selector.select(self._wait_seconds()))

    def _round(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        if ready:
            self._rests_at = time.monotonic() + self._rest_seconds
        elif self._rests_at <= time.monotonic():
            self._rests_at = math.inf
            self._at_rest()
        for key, events in ready:
            if self._selector.get_map().get(key.fd) is key:  # an earlier action of this round may have closed it
                key.data(events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, timer = heapq.heappop(self._timers)
            if timer.action is not None:
                timer.action()

    def _wait_seconds(self) -> float | None:
        while self._timers and self._timers[0][2].action is None:
            heapq.heappop(self._timers)
        next_at = min(self._timers[0][0], self._rests_at) if self._timers else self._rests_at
        return None if next_at == math.inf else max(0.0, next_at - time.monotonic())


def _nothing() -> None:
    """Who rests does nothing."""
