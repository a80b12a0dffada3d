"""How many nodes a cluster wants, which it can do without, and which of many front ends says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

REPORT_SECONDS = 5.0  # a front end that was not heard of for so long has no say


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A node that takes sessions, and for how long it has had none."""

    id: str
    capacity: int
    live: int
    idle_seconds: float = 0.0


def nodes_wanted(nodes: Sequence[Load], demand: int, spare: int) -> int:
    """For the sessions there are, those that found no room, and the room to be kept free; nodes to come are as large as those here."""
    room = sum(node.capacity for node in nodes)
    sessions = sum(node.live for node in nodes) + demand + spare
    if not nodes or not room:
        return len(nodes) + (1 if demand or spare else 0)
    missing = sessions - room
    return len(nodes) + max(0, -(-missing * len(nodes) // room))


def dispensable(nodes: Sequence[Load], demand: int, spare: int, *, after_seconds: float) -> list[Load]:
    """Those without a session for so long that the others have room for everything without; one node stays in any case."""
    room = sum(node.capacity for node in nodes)
    sessions = sum(node.live for node in nodes) + demand + spare
    found: list[Load] = []
    for node in sorted(nodes, key=lambda node: -node.idle_seconds):
        is_idle = not node.live and node.idle_seconds >= after_seconds
        if is_idle and room - node.capacity >= sessions and len(nodes) - len(found) > 1:
            found.append(node)
            room -= node.capacity
    return found


class Peak:
    """The highest of the last figures: a machine takes minutes to come, and clients that wait for it ask now and then only."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._figures: deque[tuple[float, int]] = deque()  # falling, so that the first is the highest

    def add(self, figure: int, time: float) -> int:
        """One figure more; the highest."""
        while self._figures and self._figures[0][0] < time - self._window_seconds:
            self._figures.popleft()
        while self._figures and self._figures[-1][1] <= figure:
            self._figures.pop()
        self._figures.append((time, figure))
        return self._figures[0][1]

    def clear(self) -> None:
        """What was wanted is there."""
        self._figures.clear()


@dataclass(frozen=True, slots=True)
class Standing:
    """What one front end is told: whether it acts for all, and what all together have refused."""

    is_first: bool
    demand: int


class Council:
    """What the front ends tell each other. The one that has been here longest acts for all; another follows it when it is silent."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[float, int]] = {}  # by when they came
        self._given_back: set[str] = set()

    def report(self, member: str, demand: int, time: float) -> Standing:
        """One is here, with what it refused lately."""
        before = {name: seen for name, seen in self._heard.items() if seen[0] > time - REPORT_SECONDS}
        before[member] = (time, demand)
        self._heard = before
        return Standing(next(iter(before)) == member, sum(refused for _, refused in before.values()))

    def give_back(self, machine: str) -> None:
        """A machine is to have no node for now."""
        self._given_back.add(machine)

    def recall(self, machine: str) -> None:
        """It may have one again."""
        self._given_back.discard(machine)

    def given_back(self, there: Sequence[str]) -> list[str]:
        """Those of the machines that are to have no node; others are forgotten."""
        self._given_back.intersection_update(there)
        return sorted(self._given_back)
