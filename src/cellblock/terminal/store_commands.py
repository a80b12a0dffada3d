"""What the commands share that look into the store or change it, beside a running server or without one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cellblock.errors import CellblockError, CommandFailed
from cellblock.model.resources import Session
from cellblock.settings.table import Settings
from cellblock.store.opening import open_store
from cellblock.store.protocol import ClusterStore
from cellblock.terminal.command_line import run

ResultT = TypeVar("ResultT")


def on_store(settings: Settings, work: Callable[[ClusterStore], Awaitable[ResultT]]) -> ResultT:
    """The result of work on the store. Raises CommandFailed for what the store refuses."""

    async def opened() -> ResultT:
        store = await open_store(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return run(opened())
    except CellblockError as error:
        raise CommandFailed(error.message) from error


def ended_sessions(settings: Settings, count: int) -> list[dict[str, Any]]:
    """The sessions of all accounts that ended last, as the operator's socket tells of live ones."""
    return [_ended(session) for session in on_store(settings, lambda store: store.last_ended_sessions(count))]


def _ended(session: Session) -> dict[str, Any]:
    ended_at = session.ended_at or session.updated_at
    return {
        "sessionId": session.id,
        "name": session.name,
        "account": session.account,
        "interpreter": session.interpreter_id,
        "state": session.state,
        "startedAt": session.created_at.isoformat(),
        "endedAt": ended_at.isoformat(),
        "ageSeconds": round((ended_at - session.created_at).total_seconds(), 1),
        "reason": session.end_reason,
    }
