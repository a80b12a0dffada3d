"""A name is one machine's: two of the same name would end each other's sessions in turn."""

from __future__ import annotations

import asyncio

from cellblock.errors import CommandFailed
from cellblock.machine.clock import Clock
from cellblock.model.resources import ClusterNode
from cellblock.store.protocol import ClusterStore

LOOK_AGAIN_SECONDS = 3.0  # a node that lives beats in this time


async def refuse_taken_name(store: ClusterStore, clock: Clock, node: ClusterNode) -> None:
    """A node of this name that died is replaced; one that still beats is another machine's. Raises CommandFailed, StoreUnavailable."""
    before = await _of_name(store, node.name)
    if before is None or before.url == node.url:  # the address is bound here: whoever had it is gone
        return
    await clock.wait(asyncio.Event(), clock.now() + LOOK_AGAIN_SECONDS)
    now = await _of_name(store, node.name)
    if now is not None and (now.id, now.beat) != (before.id, before.beat):
        raise CommandFailed(f"another machine is node {node.name} ({now.url}); give each a name of its own with CELLBLOCK_NODE_NAME")


async def _of_name(store: ClusterStore, name: str) -> ClusterNode | None:
    return next((one for one in await store.list_nodes() if one.name == name), None)
