"""What the service asks of a store, whichever database it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cellblock.model.resources import (
    AccessKey,
    Account,
    Claim,
    ClusterNode,
    Granted,
    Interpreter,
    InterpreterKind,
    NodeFigures,
    NodeState,
    Page,
    PageRequest,
    Session,
    SessionKey,
    SessionState,
    TokenWant,
)
from cellblock.model.usage import CallUsage, SessionUsage, UsageQuery, UsageSum


class Store(Protocol):
    """Every change is one transaction: it happened when the method returns, and not at all when it raises.

    A cancelled method may or may not have happened; `discard_session` is safe after either.
    """

    async def close(self) -> None:
        """Let go of the database; what was returned before is kept."""
        ...

    async def create_interpreter(self, interpreter: Interpreter, *, max_kept: int | None = None, claim: Claim | None = None) -> Interpreter:
        """Keep an interpreter; the one of before when the claim was used. Raises NameInUse, QuotaExceeded and IdempotencyMismatch."""
        ...

    async def get_interpreter(self, account: str, interpreter_id: str) -> Interpreter:
        """An interpreter of the account, or the built-in one. Raises InterpreterNotFound."""
        ...

    async def list_interpreters(self, account: str, page: PageRequest, *, kind: InterpreterKind | None = None) -> Page[Interpreter]:
        """The account's and the built-in one, newest first. Raises ValidationFailed for a token that is none."""
        ...

    async def delete_interpreter(self, account: str, interpreter_id: str, *, claim: Claim | None = None) -> Interpreter:
        """Delete it, status DELETED. Raises InterpreterNotFound, InterpreterInUse, AccessDenied and IdempotencyMismatch."""
        ...

    async def create_session(self, session: Session, *, max_live: int, claim: Claim | None = None) -> Session:
        """Keep a READY session. A session with another id comes back when the claim was used.

        Raises QuotaExceeded, InterpreterNotFound, IdempotencyMismatch, and NodeClosed when its node takes no new ones.
        """
        ...

    async def discard_session(self, session_id: str) -> None:
        """Undo the creation of a READY session that could not be given a cell; its claim is free again. Unknown ids are ignored."""
        ...

    async def get_session(self, key: SessionKey) -> Session:
        """A session, ended or not. Raises SessionNotFound."""
        ...

    async def list_sessions(
        self, account: str, interpreter_id: str, page: PageRequest, *, state: SessionState | None = None
    ) -> Page[Session]:
        """Sessions of an interpreter, newest first. Raises InterpreterNotFound, and ValidationFailed for a token that is none."""
        ...

    async def stop_session(self, key: SessionKey, reason: str, *, claim: Claim | None = None) -> Session:
        """READY to TERMINATED for a client. Raises SessionNotFound, SessionAlreadyTerminated and IdempotencyMismatch."""
        ...

    async def end_session(self, session_id: str, reason: str) -> bool:
        """READY to TERMINATED for the server; False when no READY session has this id. The first reason stays."""
        ...

    async def end_sessions_of_dead_server(self, reason: str) -> int:
        """READY to TERMINATED for every session; for a server that has just started and has none yet. How many.

        A member of a cluster ends those alone that no node has, of a single server that had the database before.
        """
        ...

    async def count_live_sessions(self, account: str) -> int:
        """How many READY sessions the account has."""
        ...

    async def last_ended_sessions(self, count: int) -> tuple[Session, ...]:
        """The sessions of all accounts that ended last, the last one first."""
        ...

    async def purge(self, *, sessions_ended_before: datetime) -> int:
        """Forget sessions and nodes that ended before then, and client tokens older than a day. How many sessions."""
        ...

    async def add_usage(self, calls: Sequence[CallUsage], sessions: Sequence[SessionUsage]) -> None:
        """Keep rows of calls, each once however often it comes, and the latest row of each session and day."""
        ...

    async def sum_usage(self, query: UsageQuery) -> tuple[UsageSum, ...]:
        """The sums of sessions' rows, by account and group, in the order of their beginnings."""
        ...

    async def list_call_usage(self, session_id: str) -> tuple[CallUsage, ...]:
        """The calls of a session in the order of their beginnings."""
        ...

    async def purge_usage(self, *, calls_before: datetime, sessions_before: datetime) -> None:
        """Forget calls and sessions' days before then."""
        ...

    async def get_access_key(self, key_id: str) -> AccessKey:
        """The key with this id. Raises UnknownKey."""
        ...

    def keys_version(self) -> int | None:
        """Another number after each change of an access key, whoever made it; None when it cannot be said without waiting."""
        ...

    async def list_access_keys(self, account: str | None = None) -> tuple[AccessKey, ...]:
        """Every key, revoked ones too, of one account or of all, oldest first within an account."""
        ...

    async def keep_first_access_key(self, candidate: AccessKey) -> AccessKey:
        """The oldest key of that name, even if it is revoked; the candidate is kept, with its account, when there is none."""
        ...

    async def create_access_key(self, key: AccessKey) -> AccessKey:
        """Keep a key. Raises AccountNotFound and KeyNameInUse."""
        ...

    async def revoke_access_key(self, key_id: str) -> AccessKey:
        """From now on it is no key. Raises AccessKeyNotFound, also when it was revoked before."""
        ...

    async def rotate_access_key(self, key_id: str, secret: str, *, old_until: datetime | None = None) -> AccessKey:
        """Give it another secret; the one of before is good until then, and not at all for None. Raises AccessKeyNotFound."""
        ...

    async def create_account(self, account: Account) -> Account:
        """Keep an account. Raises AccountExists."""
        ...

    async def list_accounts(self) -> tuple[Account, ...]:
        """Every account, by id."""
        ...


class ClusterStore(Store, Protocol):
    """What the members of a cluster ask of the store that they share."""

    async def join_node(self, node: ClusterNode) -> int:
        """Add a node, READY, after ending one of the same name and its sessions. How many sessions that ended."""
        ...

    async def beat_node(self, node_id: str, figures: NodeFigures) -> NodeState | None:
        """Count a beat, with the figures of now; waits behind nothing else. Its state; None when it is not known. ENDED stays as it is."""
        ...

    async def end_node(self, node_id: str, reason: str) -> int | None:
        """End a node and its sessions and free the tokens that started them. How many sessions; None when it had ended before."""
        ...

    async def leave_node(self, node_id: str, reason: str) -> int | None:
        """The same, by the node itself."""
        ...

    async def list_nodes(self, *, with_ended: bool = False) -> tuple[ClusterNode, ...]:
        """The nodes by name; those that have ended only when they are asked for."""
        ...

    async def drain_node(self, name: str, *, undo: bool = False) -> ClusterNode:
        """From now on it gets no new session, or gets some again; by its name or id. Raises NodeNotFound."""
        ...

    async def session_node(self, session_id: str) -> str | None:
        """The id of the node that runs a session, or ran it."""
        ...

    async def count_node_sessions(self, node_id: str) -> int:
        """How many READY sessions a node has."""
        ...

    async def secrets_problem(self) -> str:
        """What is wrong with this machine's key of the secrets, and the way out; nothing when it is that of all machines."""
        ...

    async def take_tokens(self, want: TokenWant) -> Granted:
        """Let some requests through of a rate that all servers share, by the database's clock."""
        ...
