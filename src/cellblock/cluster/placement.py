"""Which node gets the next session: those with the largest share of free room first."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TRIES = 3  # nodes that one StartSession may be sent to
FEW_NODES = 50  # up to here all are compared; above, each candidate is the better of two that are drawn
DRAWS = 16  # for one candidate with room; that so many draws find none means that next to nothing is free
DEMAND_SECONDS = 10.0
MOST_DEMAND = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """What a front end knows of a node; it is open when it is ready, fresh and not suspect."""

    id: str
    name: str
    capacity: int
    live: int
    is_open: bool = True


def place(
    nodes: Sequence[NodeView], placed: Mapping[str, int], *, rng: random.Random, wanted: int = TRIES
) -> list[NodeView]:  # fmt: skip
    """Candidates, the best first; none has no room. `placed` is what was sent to a node since its figures were read."""
    if len(nodes) > FEW_NODES:
        return _drawn(nodes, placed, rng, wanted)
    shares = [(share, rng.random(), node) for node in nodes if (share := _free_share(node, placed)) > 0]
    shares.sort(key=lambda one: (-one[0], one[1]))
    return [node for _, _, node in shares[:wanted]]


def _drawn(nodes: Sequence[NodeView], placed: Mapping[str, int], rng: random.Random, wanted: int) -> list[NodeView]:
    """Each the better of two drawn ones: front ends that know the same figures do not all choose the same node."""
    found: list[NodeView] = []
    for _ in range(wanted):
        best = _better_of_two(nodes, placed, rng, found)
        if best is None:
            return found or _any_with_room(nodes, placed, rng, wanted)
        found.append(best)
    return found


def _better_of_two(
    nodes: Sequence[NodeView], placed: Mapping[str, int], rng: random.Random, found: Sequence[NodeView]
) -> NodeView | None:  # fmt: skip
    best, best_share, seen = None, 0.0, 0
    for _ in range(DRAWS):
        node = nodes[int(rng.random() * len(nodes))]
        share = _free_share(node, placed)
        if share <= 0 or any(node.id == other.id for other in found):
            continue
        seen += 1
        if share > best_share:
            best, best_share = node, share
        if seen == 2:
            break
    return best


def _any_with_room(nodes: Sequence[NodeView], placed: Mapping[str, int], rng: random.Random, wanted: int) -> list[NodeView]:
    """Almost all are full: look at every one."""
    free = [node for node in nodes if _free_share(node, placed) > 0]
    return rng.sample(free, min(wanted, len(free)))


def _free_share(node: NodeView, placed: Mapping[str, int]) -> float:
    """The part of the node's room that is free; 0 for one that takes nothing."""
    if not node.is_open or node.capacity <= 0:
        return 0.0
    return (node.capacity - node.live - placed.get(node.id, 0)) / node.capacity


class Demand:
    """How many sessions were wanted and found no room in the last seconds, for who adds machines."""

    def __init__(self) -> None:
        self._refused_at: OrderedDict[str, float] = OrderedDict()

    def refused(self, token: str, time: float) -> None:
        """One found no room; a client that comes again with the same token wants the same session."""
        self._refused_at.pop(token, None)
        self._refused_at[token] = time
        if len(self._refused_at) > MOST_DEMAND:
            self._refused_at.popitem(last=False)

    def figure(self, time: float) -> int:
        """How many in the last seconds."""
        while self._refused_at and next(iter(self._refused_at.values())) < time - DEMAND_SECONDS:
            self._refused_at.popitem(last=False)
        return len(self._refused_at)
