"""What the server tells those that count, log and trace: requests that were answered and sessions that ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol
from uuid import uuid4

from cellblock.model.resources import AccessKey, Session

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """One request, filled in while it is answered; never its code, its output or a secret but the key's own, which nobody may write."""

    client: str
    started_ns: int
    request_id: str = field(default_factory=lambda: str(uuid4()))
    operation: str = ""
    key: AccessKey | None = None
    is_proven: bool = False  # the signature over head and body was right
    region: str = ""
    interpreter_id: str = ""
    session_id: str = ""
    tool: str = ""
    is_error: bool | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    status: int = 0
    error: str = ""
    seconds: float = 0.0

    def facts(self) -> dict[str, object]:
        """What a log line says of it."""
        found: dict[str, object] = {}
        if self.operation:
            found["operation"] = self.operation
        if self.key is not None:
            found |= {"account": self.key.account, "key": self.key.name}
        if self.session_id:
            found["session"] = self.session_id
        if self.tool:
            found["tool"] = self.tool
        if self.is_error is not None:
            found["is_error"] = self.is_error
        if self.error:
            found["error"] = self.error
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnd:
    """A session that is over, and why."""

    session: Session
    reason: str
    is_expiry: bool
    seconds: float


class Observer(Protocol):
    """Told on the event loop between two requests, so it may not wait."""

    def request_done(self, record: RequestRecord) -> None:
        """A request was answered, or its client went away."""
        ...

    def session_ended(self, end: SessionEnd) -> None:
        """A session is over."""
        ...


class Observers:
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def request_done(self, record: RequestRecord) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.request_done(record)

    def session_ended(self, end: SessionEnd) -> None:
        """See Observer."""
        for observer in self._observers:
            observer.session_ended(end)
