"""`cellblock nodes list` and `drain`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from cellblock.errors import CommandFailed, StoreUnavailable
from cellblock.model.resources import ClusterNode, now
from cellblock.settings.table import Settings
from cellblock.store.protocol import ClusterStore
from cellblock.terminal.command_line import Commands, json_option, with_settings
from cellblock.terminal.output import print_json, print_table, span_text, time_text
from cellblock.terminal.store_commands import on_store

COLUMNS = ("node", "state", "sessions", "memory free", "pool", "cpus", "seen", "up", "url", "reason")
LOOK_SECONDS = 0.5
GIB = 1024**3


class _ListByDefault(Commands):
    """`cellblock nodes` alone lists."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """click: what follows the group's name."""
        is_list = not args or (args[0].startswith("-") and args[0] not in ("-h", "--help"))
        return super().parse_args(ctx, ["list", *args] if is_list else args)


@click.group("nodes", cls=_ListByDefault)
def command() -> None:
    """List and drain the nodes of a cluster, the machines that run its sessions; alone, it lists.

    These commands look into the cluster's database: give them the same CELLBLOCK_STORE as its servers.
    """


@command.command("list")
@click.option("--all", "with_ended", is_flag=True, help="Nodes that have ended too, with the reason.")
@json_option
@with_settings("data_dir", "store")
def list_command(settings: Settings, with_ended: bool, as_json: bool) -> None:
    """List nodes with state, sessions, memory and pool, as they said it with their last sign of life.

    Example: cellblock nodes list --all
    """
    _require_cluster(settings)
    found = on_store(settings, lambda store: store.list_nodes(with_ended=with_ended))
    if as_json:
        print_json([_members(node) for node in found])
    else:
        print_table(COLUMNS, [_row(node) for node in found])


@command.command("drain")
@click.argument("node")
@click.option("--undo", is_flag=True, help="Let it take new sessions again.")
@click.option("--wait", is_flag=True, help="Wait until its last session has ended.")
@json_option
@with_settings("data_dir", "store")
def drain_command(settings: Settings, node: str, undo: bool, wait: bool, as_json: bool) -> None:
    """Give a node no new sessions; those that it has live on until their end.

    Example: cellblock nodes drain worker-7 --wait
    """
    _require_cluster(settings)
    if undo and wait:
        raise click.UsageError("--wait goes with draining, and not with --undo")
    drained, left = on_store(settings, lambda store: _drain(store, node, undo=undo, wait=wait))
    if as_json:
        print_json(_members(drained) | {"sessions": left})
    elif undo:
        click.echo(f"node {drained.name} takes new sessions again")
    else:
        click.echo(f"node {drained.name} takes no new sessions; {left} live there")


async def _drain(store: ClusterStore, name: str, *, undo: bool, wait: bool) -> tuple[ClusterNode, int]:
    node = await store.drain_node(name, undo=undo)
    left = await store.count_node_sessions(node.id)
    while wait and left:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            left = await store.count_node_sessions(node.id)
        except StoreUnavailable:
            continue  # a database that restarts; the node goes on draining
    return node, left


def _require_cluster(settings: Settings) -> None:
    if not settings.store:
        raise CommandFailed("a cluster's nodes are in its PostgreSQL database: name it with --store or CELLBLOCK_STORE")


def _row(node: ClusterNode) -> tuple[str, ...]:
    figures, time = node.figures, now()
    return (
        node.name,
        node.state,
        f"{figures.sessions}/{figures.sessions_capacity}",
        f"{figures.memory_free_bytes / GIB:.1f}/{figures.memory_total_bytes / GIB:.1f} GB",
        f"{figures.pool_ready}/{figures.pool_size}",
        f"{figures.cpus:g}",
        f"{span_text(max(0.0, (time - node.seen_at).total_seconds()))} ago",
        span_text(max(0.0, ((node.ended_at or time) - node.started_at).total_seconds())),
        node.url,
        node.end_reason or "",
    )


def _members(node: ClusterNode) -> dict[str, Any]:
    figures = node.figures
    return {
        "node": node.name,
        "id": node.id,
        "state": node.state,
        "url": node.url,
        "sessions": figures.sessions,
        "sessionsCapacity": figures.sessions_capacity,
        "memoryFreeBytes": figures.memory_free_bytes,
        "memoryTotalBytes": figures.memory_total_bytes,
        "poolReady": figures.pool_ready,
        "poolSize": figures.pool_size,
        "cpus": figures.cpus,
        "beat": node.beat,
        "startedAt": time_text(node.started_at),
        "seenAt": time_text(node.seen_at),
        "endedAt": time_text(node.ended_at) or None,
        "reason": node.end_reason,
    }
