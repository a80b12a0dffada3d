"""Machines and front ends of a cluster on a simulated clock; where a session goes is decided by the real placement code."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from cellblock.cluster.placement import NodeView, place

BEAT_SECONDS = 1.0  # a node writes its figures so often, and a front end reads them so often: they are two seconds old at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is simulated."""

    nodes: int
    capacity: int  # sessions of a node
    front_ends: int
    sessions: int  # live at once, when it is full
    starts_a_second: float
    look_seconds: float = BEAT_SECONDS
    seed: int = 1


@dataclass(slots=True)
class Machine:
    """A node: what runs there, and what it last told."""

    live: int = 0
    told: int = 0
    beat: int = 0


@dataclass(slots=True)
class Watcher:
    """What one front end knows: figures as old as its last look, and its own placements since a node's figures changed."""

    views: list[NodeView]
    beats: list[int]
    placed: dict[str, int] = field(default_factory=dict)

    def look(self, machines: list[Machine], capacity: int) -> None:
        """Read the table, as `cluster/membership.py` does."""
        for number, machine in enumerate(machines):
            if machine.beat != self.beats[number]:
                self.beats[number] = machine.beat
                name = str(number)
                self.views[number] = NodeView(id=name, name=name, capacity=capacity, live=machine.told)
                self.placed.pop(name, None)


@dataclass(slots=True)
class Outcome:
    """What came of the starts."""

    starts: int = 0
    refused: int = 0  # no candidate had room: the client is told to come again
    retried: int = 0  # a node said that it is full, and the next candidate took it
    tries: Counter[int] = field(default_factory=Counter)
    placement_seconds: list[float] = field(default_factory=list)
    live: list[int] = field(default_factory=list)

    @property
    def fullest_over_mean(self) -> float:
        """1 when all nodes have as many sessions."""
        return max(self.live) * len(self.live) / sum(self.live)


class Cluster:
    """Nodes that beat and front ends that look, each at a moment of its own in the second."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self._machines = [Machine() for _ in range(plan.nodes)]
        self._watchers = [
            Watcher([NodeView(id=str(n), name=str(n), capacity=plan.capacity, live=0) for n in range(plan.nodes)], [0] * plan.nodes)
            for _ in range(plan.front_ends)
        ]
        self._due: list[tuple[float, int, str, int]] = []
        self._order = 0
        for number in range(plan.nodes):
            self._at(self._rng.random() * BEAT_SECONDS, "beat", number)
        for number in range(plan.front_ends):
            self._at(self._rng.random() * plan.look_seconds, "look", number)

    def fill(self, outcome: Outcome) -> None:
        """Start sessions until as many live as planned, or one is refused for each that is missing."""
        interval = 1 / self._plan.starts_a_second
        for number in range(self._plan.sessions):
            self._advance(number * interval)
            self._start(outcome)
        self._finish(outcome)

    def churn(self, outcome: Outcome, seconds: float) -> None:
        """For each session that starts another one, drawn at random, ends: the number of live ones stays."""
        begun = self._now
        hosts = [number for number, machine in enumerate(self._machines) for _ in range(machine.live)]
        for step in range(int(seconds * self._plan.starts_a_second)):
            self._advance(begun + step / self._plan.starts_a_second)
            drawn = self._rng.randrange(len(hosts))
            self._machines[hosts[drawn]].live -= 1
            chosen = self._start(outcome)
            if chosen is None:
                hosts[drawn] = hosts[-1]
                hosts.pop()
            else:
                hosts[drawn] = chosen
        self._finish(outcome)

    @property
    def _now(self) -> float:
        return self._due[0][0]

    def _start(self, outcome: Outcome) -> int | None:
        """One session, by a front end drawn at random; the number of its node."""
        watcher = self._rng.choice(self._watchers)
        outcome.starts += 1
        began = time.perf_counter()
        candidates = place(watcher.views, watcher.placed, rng=self._rng)
        outcome.placement_seconds.append(time.perf_counter() - began)
        for tried, view in enumerate(candidates, start=1):
            machine = self._machines[int(view.id)]
            watcher.placed[view.id] = watcher.placed.get(view.id, 0) + 1
            if machine.live < self._plan.capacity:
                machine.live += 1
                outcome.tries[tried] += 1
                outcome.retried += tried > 1
                return int(view.id)
        outcome.refused += 1
        return None

    def _finish(self, outcome: Outcome) -> None:
        outcome.live = [machine.live for machine in self._machines]

    def _advance(self, until: float) -> None:
        for kind, number in self._happening(until):
            if kind == "beat":
                machine = self._machines[number]
                machine.told, machine.beat = machine.live, machine.beat + 1
            else:
                self._watchers[number].look(self._machines, self._plan.capacity)

    def _happening(self, until: float) -> Iterator[tuple[str, int]]:
        while self._due[0][0] <= until:
            due, _, kind, number = heapq.heappop(self._due)
            self._at(due + (BEAT_SECONDS if kind == "beat" else self._plan.look_seconds), kind, number)
            yield kind, number

    def _at(self, due: float, kind: str, number: int) -> None:
        self._order += 1
        heapq.heappush(self._due, (due, self._order, kind, number))
