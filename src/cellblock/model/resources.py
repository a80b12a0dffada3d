"""The things the service keeps: interpreters, sessions, access keys, nodes; and how they are named."""

from __future__ import annotations

import hashlib
import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, Literal, TypeVar
from uuid import uuid4

from ulid import ULID

from cellblock.model.policies import EVERYTHING, Policy

JsonObject = dict[str, object]  # a part of the API's JSON that was checked, is stored and given back, and is read by nobody else

InterpreterKind = Literal["SYSTEM", "CUSTOM"]
InterpreterStatus = Literal["CREATING", "CREATE_FAILED", "READY", "DELETING", "DELETE_FAILED", "DELETED"]
NetworkMode = Literal["PUBLIC", "SANDBOX", "VPC"]
SessionState = Literal["READY", "TERMINATED"]
NodeState = Literal["READY", "DRAINING", "ENDED"]
ClaimedOperation = Literal["CreateCodeInterpreter", "DeleteCodeInterpreter", "StartCodeInterpreterSession", "StopCodeInterpreterSession"]

BUILT_IN_INTERPRETER_ID = "aws.codeinterpreter.v1"
SYSTEM_ACCOUNT = "aws"
ALPHANUMERICS = string.ascii_letters + string.digits
KEY_ID_LETTERS = string.ascii_uppercase + "234567"
SECRET_LETTERS = ALPHANUMERICS + "+/"
NODE_ID_LETTERS = string.digits + string.ascii_uppercase
NODE_ID_LENGTH = 10

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A named kind of session: its network and role. `network_configuration` is the API's member, kept as it came."""

    id: str
    name: str
    account: str
    network_mode: NetworkMode
    created_at: datetime
    updated_at: datetime
    kind: InterpreterKind = "CUSTOM"
    status: InterpreterStatus = "READY"
    description: str | None = None
    role_arn: str | None = None
    network_configuration: JsonObject = field(default_factory=dict)
    certificates: tuple[JsonObject, ...] = ()
    filesystems: tuple[JsonObject, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def arn(self, region: str) -> str:
        """The ARN in the region that the client signed for."""
        return interpreter_arn(self.id, region=region, account=self.account)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKey:
    """What a request names a session by; another account's or interpreter's session is not found."""

    account: str
    interpreter_id: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session; `ended_at` and `end_reason` are set exactly when it is TERMINATED."""

    id: str
    interpreter_id: str
    account: str
    timeout_seconds: int
    created_at: datetime
    updated_at: datetime
    state: SessionState = "READY"
    name: str | None = None
    description: str | None = None
    certificates: tuple[JsonObject, ...] = ()
    filesystems: tuple[JsonObject, ...] = ()
    ended_at: datetime | None = None
    end_reason: str | None = None
    node: str | None = None  # the node of a cluster that runs it

    @property
    def key(self) -> SessionKey:
        """What requests name it by."""
        return SessionKey(account=self.account, interpreter_id=self.interpreter_id, session_id=self.id)

    @property
    def expires_at(self) -> datetime:
        """When its lifetime is over, whatever its activity."""
        return self.created_at + timedelta(seconds=self.timeout_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom interpreters, sessions, keys and usage belong to; accounts do not see each other's."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """A key that clients sign with, and what it may do. After a rotation the old secret is good until its time."""

    id: str
    secret: str = field(repr=False)
    account: str
    name: str
    created_at: datetime
    policy: Policy = EVERYTHING
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    old_secret: str | None = field(default=None, repr=False)
    old_secret_until: datetime | None = None

    def is_usable(self, time: datetime) -> bool:
        """Whether a request may be signed with it at that time."""
        return self.revoked_at is None and (self.expires_at is None or time < self.expires_at)

    def secrets(self, time: datetime) -> tuple[str, ...]:
        """What a request of that time may be signed with, the one of today first."""
        if self.old_secret is None or self.old_secret_until is None or time >= self.old_secret_until:
            return (self.secret,)
        return (self.secret, self.old_secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFigures:
    """What a node of a cluster says of itself with each beat."""

    sessions: int = 0
    sessions_capacity: int = 0
    pool_ready: int = 0
    pool_size: int = 0
    memory_free_bytes: int = 0
    memory_total_bytes: int = 0
    cpus: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """One life of a node's process, under an id of its own; its machine's name stays over many. `beat` counts while it lives."""

    id: str
    name: str
    url: str
    started_at: datetime
    seen_at: datetime
    state: NodeState = "READY"
    beat: int = 0
    figures: NodeFigures = NodeFigures()
    ended_at: datetime | None = None
    end_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A client token with the digest of the request it came with: the same request again is not done twice."""

    account: str
    operation: ClaimedOperation
    token: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWant:
    """Requests that a server wants to let through of an account's rate; `debt` are tokens to come that may be taken already."""

    account: str
    operation: str
    rate: float
    burst: float
    count: int = 1
    debt: float = 0.0


@dataclass(frozen=True, slots=True)
class Granted:
    """How many may pass, and when none may, how long until one."""

    count: int
    wait_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """How many items a list may answer with, and the token where the page before ended."""

    max_results: int = 100
    next_token: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """Some of a list's items; `next_token` is None on the last page."""

    items: tuple[ItemT, ...]
    next_token: str | None = None


def now() -> datetime:
    """The time that is stored and shown; durations are measured on the monotonic clock instead."""
    return datetime.now(UTC)


def new_session_id(node_id: str | None = None) -> str:
    """A ULID: 26 characters that sort by time; in a cluster the node's id follows, so that front ends know where the session is."""
    return f"{ULID()}{node_id or ''}"


def new_node_id() -> str:
    """Ten digits and capitals."""
    return _random_letters(NODE_ID_LETTERS, NODE_ID_LENGTH)


def new_interpreter_id(name: str) -> str:
    """The name, a hyphen and ten alphanumerics."""
    return f"{name}-{_random_letters(ALPHANUMERICS, 10)}"


def new_task_id() -> str:
    """A random UUID."""
    return str(uuid4())


def new_access_key(*, account: str, name: str, policy: Policy = EVERYTHING, expires_at: datetime | None = None) -> AccessKey:
    """A key with the forms of AWS: 20 and 40 characters."""
    return AccessKey(
        id=f"AKIA{_random_letters(KEY_ID_LETTERS, 16)}",
        secret=new_secret(),
        account=account,
        name=name,
        created_at=now(),
        policy=policy,
        expires_at=expires_at,
    )


def new_secret() -> str:
    """A secret access key."""
    return _random_letters(SECRET_LETTERS, 40)


def make_claim(*, account: str, operation: ClaimedOperation, token: str, parameters: Mapping[str, object]) -> Claim:
    """A claim for a request whose parameters, the token left out, are given."""
    canonical = json.dumps(parameters, sort_keys=True, separators=(",", ":"), default=str)
    return Claim(account=account, operation=operation, token=token, digest=hashlib.sha256(canonical.encode()).hexdigest())


def interpreter_arn(interpreter_id: str, *, region: str, account: str) -> str:
    """The ARN of an interpreter, built in or made by an account."""
    if interpreter_id == BUILT_IN_INTERPRETER_ID:
        return f"arn:aws:bedrock-agentcore:{region}:{SYSTEM_ACCOUNT}:code-interpreter/{interpreter_id}"
    return f"arn:aws:bedrock-agentcore:{region}:{account}:code-interpreter-custom/{interpreter_id}"


def _random_letters(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))


BUILT_IN_INTERPRETER = Interpreter(
    id=BUILT_IN_INTERPRETER_ID,
    name=BUILT_IN_INTERPRETER_ID,
    account=SYSTEM_ACCOUNT,
    kind="SYSTEM",
    description="The built-in code interpreter",
    network_mode="SANDBOX",
    network_configuration={"networkMode": "SANDBOX"},
    created_at=datetime(2025, 7, 16, tzinfo=UTC),
    updated_at=datetime(2025, 7, 16, tzinfo=UTC),
)
