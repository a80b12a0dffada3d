"""The transactions about the nodes of a cluster: who is in it, how full it is, and its end with that of its sessions."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from cellblock.errors import NodeNotFound
from cellblock.model.resources import ClusterNode, NodeFigures, NodeState
from cellblock.store import sessions
from cellblock.store.claims import release_starts
from cellblock.store.schema import nodes

_FIGURES = tuple(field.name for field in dataclasses.fields(NodeFigures))
_is_up = nodes.c.state != sa.literal_column("'ENDED'")  # literal, so that the partial index is used
_beat = (
    sa.update(nodes)
    .where(nodes.c.id == sa.bindparam("node_id"), _is_up)
    .values({"beat": nodes.c.beat + 1, "seen_at": sa.bindparam("time")} | {name: sa.bindparam(f"now_{name}") for name in _FIGURES})
    .returning(nodes.c.state)
)
_state = sa.select(nodes.c.state).where(nodes.c.id == sa.bindparam("node_id"))
_all = sa.select(nodes).order_by(nodes.c.name, nodes.c.started_at, nodes.c.id)
_up = _all.where(_is_up)
_of_name = sa.select(nodes.c.id).where(nodes.c.name == sa.bindparam("node_name"), _is_up)


def join_new(connection: sa.Connection, node: ClusterNode) -> bool:
    """Add a node whose name no other has that is up; the index of names keeps a second one out. Whether it could be added."""
    if connection.execute(_of_name, {"node_name": node.name}).first() is not None:
        return False
    connection.execute(sa.insert(nodes), _row(node))
    return True


def join(connection: sa.Connection, node: ClusterNode, time: datetime) -> int:
    """See ClusterStore.join_node."""
    before = connection.execute(_of_name, {"node_name": node.name}).scalars().all()
    reason = f"its node {node.name} was started again"
    ended = sum(end(connection, node_id, reason, time) or 0 for node_id in before)
    connection.execute(sa.insert(nodes), _row(node))
    return ended


def beat(connection: sa.Connection, node_id: str, figures: NodeFigures, time: datetime) -> NodeState | None:
    """See ClusterStore.beat_node; the usual case is one statement."""
    values = {"node_id": node_id, "time": time} | {f"now_{name}": getattr(figures, name) for name in _FIGURES}
    state: NodeState | None = connection.execute(_beat, values).scalar_one_or_none()
    return state or connection.execute(_state, {"node_id": node_id}).scalar_one_or_none()


def end(connection: sa.Connection, node_id: str, reason: str, time: datetime) -> int | None:
    """See ClusterStore.end_node."""
    ending = sa.update(nodes).where(nodes.c.id == node_id, _is_up).values(state="ENDED", ended_at=time, end_reason=reason, sessions=0)
    if not connection.execute(ending).rowcount:
        return None
    ended = sessions.end_of_node(connection, node_id, reason, time)
    release_starts(connection, ended)
    return len(ended)


def end_all(connection: sa.Connection, reason: str, time: datetime) -> None:
    """The nodes of a cluster that has become a single server."""
    connection.execute(sa.update(nodes).where(_is_up).values(state="ENDED", ended_at=time, end_reason=reason, sessions=0))


def list_all(connection: sa.Connection, *, with_ended: bool) -> tuple[ClusterNode, ...]:
    """See ClusterStore.list_nodes."""
    return tuple(_value(row) for row in connection.execute(_all if with_ended else _up).mappings())


def drain(connection: sa.Connection, name: str, *, undo: bool) -> ClusterNode:
    """See ClusterStore.drain_node."""
    is_meant = sa.and_(sa.or_(nodes.c.name == name, nodes.c.id == name), _is_up)
    change = sa.update(nodes).where(is_meant).values(state="READY" if undo else "DRAINING").returning(nodes)
    row = connection.execute(change).mappings().first()
    if row is None:
        raise NodeNotFound(name)
    return _value(row)


def purge(connection: sa.Connection, ended_before: datetime, limit: int) -> int:
    """Forget nodes that ended before then; how many, at most `limit`."""
    oldest = sa.select(nodes.c.id).where(nodes.c.state == "ENDED", nodes.c.ended_at < ended_before).limit(limit)
    return connection.execute(sa.delete(nodes).where(nodes.c.id.in_(oldest))).rowcount


def _row(node: ClusterNode) -> dict[str, object]:
    figures = dataclasses.asdict(node.figures)
    return {name: figures[name] if name in figures else getattr(node, name) for name in nodes.columns.keys()}  # noqa: SIM118


def _value(row: RowMapping) -> ClusterNode:
    values = {str(name): value for name, value in row.items()}
    return ClusterNode(figures=NodeFigures(**{name: values.pop(name) for name in _FIGURES}), **values)
