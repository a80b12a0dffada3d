"""Beside a front end, in a process of its own: has Ray run a node on each machine, says whom Ray took for dead, asks for machines.

Ray ends the process of a driver when the head is away for a minute; here that costs nothing but a new start. `python -m` runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from cellblock.cluster.machine_names import MachineNames
from cellblock.cluster.node_settings import passed_settings
from cellblock.cluster.placement import DEMAND_SECONDS
from cellblock.cluster.ray_nodes import ActorSilent, Machine, NodeOfMachine, Order, RayCluster
from cellblock.cluster.retiring import Retiring
from cellblock.cluster.scaling import Load, Peak, Standing, dispensable, nodes_wanted
from cellblock.errors import StoreUnavailable
from cellblock.machine.data_directory import secrets_key_path
from cellblock.model.resources import ClusterNode
from cellblock.observing import log_lines
from cellblock.settings.table import Settings, load
from cellblock.store.opening import open_store
from cellblock.store.protocol import ClusterStore
from cellblock.terminal.command_line import run

ROUND_SECONDS = 1.0
PAUSE_SECONDS = 2.0  # after an actor was silent
WANTED_SECONDS = 60.0  # machines stay wanted so long after the last session that found no room
MOST_GROWTH = 2  # times the machines there are: clients that ask without end must not fill a data centre at once
REQUEST_SECONDS = 30.0  # Ray's head may have forgotten what was asked

_log = structlog.get_logger("cellblock.ray")


class Launcher:
    """One round a second. Owns a task for each machine that waits at its node."""

    def __init__(self, settings: Settings, store: ClusterStore, cluster: RayCluster, order: Order) -> None:
        self._settings = settings
        self._store = store
        self._ray = cluster
        self._order = order
        self._member = secrets.token_hex(8)
        self._waiting: dict[str, asyncio.Task[None]] = {}  # by machine
        self._urls: dict[str, str] = {}  # of the nodes, by machine
        self._actors: dict[str, NodeOfMachine] = {}
        self._wanted = Peak(WANTED_SECONDS)
        self._asked = (0, -REQUEST_SECONDS)
        self._loads = 0
        self._grown_at = -DEMAND_SECONDS
        self._retiring = Retiring(store)
        self._names = MachineNames()
        self.demand = 0

    async def run(self) -> None:
        """Until cancelled; the tasks are left to the end of the process."""
        while True:
            try:
                await self._round()
            except (ActorSilent, StoreUnavailable) as error:
                _log.warning("a round of the launcher was cut short", reason=str(error))
            await asyncio.sleep(ROUND_SECONDS)

    async def _round(self) -> None:
        standing = await self._ray.report(self._member, self.demand)
        if not standing.is_first:
            self._rest()
            return
        machines = await asyncio.to_thread(self._ray.machines)
        alive = [machine for machine in machines if machine.is_alive]
        given_back = await self._ray.given_back([machine.id for machine in alive])
        self._keep([machine for machine in alive if machine.id not in given_back])
        await self._bury({machine.id for machine in alive})
        await self._scale(alive, given_back, standing)

    def _rest(self) -> None:
        for task in self._waiting.values():
            task.cancel()
        self._waiting.clear()

    def _keep(self, machines: Sequence[Machine]) -> None:
        time, names = asyncio.get_running_loop().time(), {machine.id: machine.name for machine in machines}
        for machine in machines:
            task = self._waiting.get(machine.id)
            name = self._names.pick(machine.id, names, time)
            if name and (task is None or task.done()):
                named = dataclasses.replace(machine, name=name)
                self._waiting[machine.id] = asyncio.create_task(self._watch(named), name=f"watch {name}")

    async def _bury(self, alive: set[str]) -> None:
        """Ray says that a machine is dead: so is its node."""
        for machine in [machine for machine in self._urls if machine not in alive]:
            await self._end(machine, self._urls[machine], "Ray took its machine for dead")
            self._forget(machine)

    def _forget(self, machine: str) -> None:
        self._urls.pop(machine, None)
        self._actors.pop(machine, None)
        if task := self._waiting.pop(machine, None):
            task.cancel()

    async def _watch(self, machine: Machine) -> None:
        """Until the actor is silent; the next round begins again."""
        life = ""
        try:
            actor = self._actors[machine.id] = await asyncio.to_thread(self._ray.keep_node, machine, self._order)
            while True:
                life, _, url = await self._settled(machine, actor)
                await actor.ended(url)
                await self._end(machine.id, url, "its process ended")
        except ActorSilent as error:
            _log.warning("actor silent", machine=machine.name, reason=str(error))
            await self._after_silence(machine, life)
        except StoreUnavailable as error:
            _log.warning("a node that ended is left to its beat", machine=machine.name, reason=str(error))

    async def _settled(self, machine: Machine, actor: NodeOfMachine) -> tuple[str, str, str]:
        told = await actor.told()
        if self._urls.get(machine.id) != told.url:
            self._urls[machine.id] = told.url
            _log.info("node runs", machine=machine.name, node=told.name, url=told.url)
        return told.life, told.name, told.url

    async def _after_silence(self, machine: Machine, life: str) -> None:
        """An actor that answers out of another life has lost the node of the one before; Ray starts it only when that is dead."""
        with contextlib.suppress(ActorSilent, StoreUnavailable):
            if life and await self._actors[machine.id].life() != life:
                await self._end(machine.id, self._urls[machine.id], "Ray's actor on its machine died")
                return
        await asyncio.sleep(PAUSE_SECONDS)

    async def _end(self, machine: str, url: str, reason: str) -> None:
        """The node that served there. One that has begun since has another address."""
        for node in await self._store.list_nodes():
            if node.url == url:
                ended = await self._store.end_node(node.id, f"its node {node.name} was lost: {reason}")
                _log.error("node lost", machine=machine, node=node.name, id=node.id, reason=reason, sessions=ended)

    async def _scale(self, alive: Sequence[Machine], given_back: set[str], standing: Standing) -> None:
        nodes = await self._store.list_nodes()
        time = asyncio.get_running_loop().time()
        loads = self._retiring.loads(nodes, time)
        spare = self._settings.spare_sessions
        if len(loads) > self._loads:
            self._grown_at = time
        self._loads = len(loads)
        demand = standing.demand if time - self._grown_at > DEMAND_SECONDS else 0  # those who were refused before may find room
        machines = [machine for machine in alive if machine.id not in given_back]
        there = max(len(loads), len(machines) - sum(node.state == "DRAINING" for node in nodes))  # a machine's node may be on its way
        needed = min(nodes_wanted(loads, demand, spare), MOST_GROWTH * max(1, there))
        wanted = self._wanted.add(needed if needed > len(loads) else 0, time)
        if wanted <= len(loads):  # not before: the autoscaler takes a machine that nobody asks for before its node is there
            self._wanted.clear()
            wanted = 0
        for known in sorted(given_back)[: max(0, wanted - there)]:
            await self._ray.recall(known)
        await self._ask_for(wanted, min((machine.cpus for machine in alive), default=1.0), time)
        if self._settings.node_idle_seconds and not wanted:
            await self._give_back(nodes, loads, machines, wanted_room=(demand, spare))

    async def _ask_for(self, count: int, cpus: float, time: float) -> None:
        asked, at = self._asked
        if count != asked or time - at > REQUEST_SECONDS:
            await asyncio.to_thread(self._ray.request_machines, count, cpus)
            self._asked = (count, time)
            if count != asked:
                _log.info("machines asked for", count=count)

    async def _give_back(
        self, nodes: Sequence[ClusterNode], loads: Sequence[Load], machines: Sequence[Machine], *, wanted_room: tuple[int, int]
    ) -> None:
        """Drain those that the others can replace, and end those that are drained and empty."""
        demand, spare = wanted_room
        for idle in dispensable(loads, demand, spare, after_seconds=self._settings.node_idle_seconds):
            await self._retiring.drain(idle.id)
        by_url = {url: machine for machine, url in self._urls.items()}
        for node in await self._retiring.empty(nodes):
            machine = by_url.get(node.url)
            if machine is None or machine not in {one.id for one in machines}:
                continue
            await self._ray.give_back(machine)
            actor = self._actors[machine]
            self._forget(machine)
            await actor.end()
            _log.info("machine given back", node=node.name)


async def _demand_of(launcher: Launcher) -> None:
    """The front end writes a line a second; the end of its lines is its end, and ours."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        launcher.demand = int(json.loads(line)["demand"])


async def _launch(settings: Settings) -> None:
    cluster = await asyncio.to_thread(RayCluster, settings.ray_address)
    store = await open_store(settings, role="member")
    try:
        launcher = Launcher(settings, store, cluster, _order(settings))
        running = asyncio.create_task(launcher.run(), name="launcher")
        reading = asyncio.create_task(_demand_of(launcher), name="demand")
        done, _ = await asyncio.wait({running, reading}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await store.close()


def _order(settings: Settings) -> Order:
    key = Path(settings.secrets_key_file or secrets_key_path(settings.data_dir))
    return Order(settings=passed_settings(settings), secrets_key=key.read_bytes())


def main() -> None:
    """Run it with the settings of the environment; its log goes where the front end's goes."""
    settings = load()
    log_lines.set_up(settings.log_level, sys.stderr)
    run(_launch(settings))
    os._exit(0)  # Ray's threads may wait for a head that is away


if __name__ == "__main__":
    main()
