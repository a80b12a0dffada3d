"""Ray: its machines, an actor on each that keeps a node, and the word to its autoscaler. No other module imports it."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cellblock.cluster.node_keeper import NodeKeeper, Told
from cellblock.cluster.node_settings import node_environment
from cellblock.cluster.scaling import Council, Standing

NAMESPACE = "cellblock"
COUNCIL = "cellblock-council"
HEAD = "node:__internal_head__"  # a resource that the head alone has
ANSWER_SECONDS = 10.0


class ActorSilent(Exception):
    """An actor is dead, restarting or cannot be reached; which of them its next answer tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A node of Ray, which has one of ours."""

    id: str
    name: str
    address: str
    is_alive: bool
    cpus: float
    memory_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an actor is made with: the settings of the front end, and the key that opens the secrets in the database."""

    settings: Mapping[str, str]
    secrets_key: bytes


class NodeActor:
    """Runs on the node's machine, in a process of Ray's; made again by Ray when that is killed."""

    def __init__(self, order: Order, name: str, address: str) -> None:
        self._life = secrets.token_hex(8)
        environment = node_environment(order.settings, name=name, address=address, secrets_key=order.secrets_key)
        self._name = environment["CELLBLOCK_NODE_NAME"]
        self._keeper = NodeKeeper(environment)

    async def life(self) -> str:
        """Another one after each restart of the actor."""
        return self._life

    async def told(self) -> Told:
        """Once the node serves."""
        return Told(self._life, self._name, await self._keeper.url())

    async def ended(self, url: str) -> None:
        """Once the process that served there has ended."""
        await self._keeper.ended(url)

    async def stop(self) -> None:
        """End the node."""
        await self._keeper.stop()

    async def pid(self) -> int:
        """Of the actor's process."""
        return os.getpid()


class CouncilActor:
    """The council in a process of its own, beside the head."""

    def __init__(self) -> None:
        self._council = Council()

    async def report(self, member: str, demand: int) -> Standing:
        """See `Council.report`."""
        return self._council.report(member, demand, time.monotonic())

    async def give_back(self, machine: str) -> None:
        """See `Council.give_back`."""
        self._council.give_back(machine)

    async def recall(self, machine: str) -> None:
        """See `Council.recall`."""
        self._council.recall(machine)

    async def given_back(self, there: Sequence[str]) -> list[str]:
        """See `Council.given_back`."""
        return self._council.given_back(there)


class NodeOfMachine:
    """The actor of one machine, from outside. Each method raises ActorSilent."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def told(self) -> Told:
        """Waits until the node serves."""
        told: Told = await _answer(self._actor.told.remote())
        return told

    async def life(self) -> str:
        """Waits for an actor that Ray is making again."""
        life: str = await _answer(self._actor.life.remote())
        return life

    async def ended(self, url: str) -> None:
        """Waits until the process of that node has ended."""
        await _answer(self._actor.ended.remote(url))

    async def end(self) -> None:
        """End the node, then the actor for good, so that its machine is idle."""
        await _answer(self._actor.stop.remote())
        await asyncio.to_thread(ray.kill, self._actor, no_restart=True)


class RayCluster:
    """The connection of one process to Ray, which Ray may end together with the process."""

    def __init__(self, address: str) -> None:
        ray.init(
            address=address or "auto",
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.WARNING,
        )
        self._council = self._make_council()

    def machines(self) -> list[Machine]:
        """Those with processors, dead ones too as long as Ray remembers them."""
        return [_machine(entry) for entry in ray.nodes() if not entry["Alive"] or entry["Resources"].get("CPU")]

    def keep_node(self, machine: Machine, order: Order) -> NodeOfMachine:
        """The machine's actor, made when there is none. It takes all processors and memory that Ray has there."""
        actor = (
            ray.remote(NodeActor)
            .options(
                name=f"cellblock-node-{machine.id}",
                get_if_exists=True,
                lifetime="detached",
                max_restarts=-1,
                max_concurrency=1000,
                num_cpus=machine.cpus,
                memory=machine.memory_bytes or None,
                scheduling_strategy=NodeAffinitySchedulingStrategy(machine.id, soft=False),
            )
            .remote(order, machine.name, machine.address)
        )
        return NodeOfMachine(actor)

    def request_machines(self, count: int, cpus: float) -> None:
        """Tell the autoscaler, if there is one, to have at least so many machines; for 0, that no more are needed than are used."""
        request_resources(bundles=[{"CPU": cpus}] * count)

    async def report(self, member: str, demand: int) -> Standing:
        """See `Council.report`. Raises ActorSilent."""
        standing: Standing = await self._ask_council("report", member, demand)
        return standing

    async def give_back(self, machine: str) -> None:
        """See `Council.give_back`. Raises ActorSilent."""
        await self._ask_council("give_back", machine)

    async def recall(self, machine: str) -> None:
        """See `Council.recall`. Raises ActorSilent."""
        await self._ask_council("recall", machine)

    async def given_back(self, there: Sequence[str]) -> set[str]:
        """See `Council.given_back`. Raises ActorSilent."""
        return set(await self._ask_council("given_back", there))

    async def _ask_council(self, method: str, *arguments: object) -> Any:
        try:
            return await asyncio.wait_for(_answer(getattr(self._council, method).remote(*arguments)), ANSWER_SECONDS)
        except (ActorSilent, TimeoutError) as error:
            self._council = await asyncio.to_thread(self._make_council)
            raise ActorSilent(str(error)) from error

    def _make_council(self) -> Any:
        options = {"name": COUNCIL, "get_if_exists": True, "lifetime": "detached", "max_restarts": -1, "num_cpus": 0}
        return ray.remote(CouncilActor).options(resources={HEAD: 0.001}, **options).remote()


async def _answer(reference: Any) -> Any:
    try:
        return await reference
    except RayError as error:
        raise ActorSilent(str(error).partition("\n")[0]) from error


def _machine(entry: Mapping[str, Any]) -> Machine:
    resources = entry["Resources"]
    named = entry["NodeName"]
    return Machine(
        id=entry["NodeID"],
        name=entry["NodeManagerHostname"] if named == entry["NodeManagerAddress"] else named,
        address=entry["NodeManagerAddress"],
        is_alive=entry["Alive"],
        cpus=resources.get("CPU", 0.0),
        memory_bytes=resources.get("memory", 0.0),
    )
