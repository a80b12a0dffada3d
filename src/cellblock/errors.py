"""Everything that can go wrong, each with the AWS code and HTTP status it has on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

Reason = Literal["CannotParse", "FieldValidationFailed", "IdempotentParameterMismatchException", "EventInOtherSession", "ResourceConflict"]


class CommandFailed(Exception):
    """What the person at the command line can mend: the message is one line that says how."""


class CellblockError(Exception):
    """A request that is not done, and why."""

    code: ClassVar[str] = "InternalServerException"
    status: ClassVar[int] = 500
    guide_name: ClassVar[str] = ""  # the name users know where the API has another; the message begins with it on the wire
    public_message: ClassVar[str] = ""  # sent instead of a message that may hold the host's paths
    is_of_this_machine: ClassVar[bool] = False  # nothing was kept of the request, and another node of a cluster may do it

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A member of a request by its path in the API's words, and what is wrong with it."""

    name: str
    message: str


class ValidationFailed(CellblockError):
    """The request is not one the API has; names every bad field."""

    code = "ValidationException"
    status = 400

    def __init__(self, message: str, *, reason: Reason = "FieldValidationFailed", fields: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.fields = fields


class BodyTooLarge(ValidationFailed):
    """The request's body is over the limit."""

    def __init__(self, limit_bytes: int) -> None:
        problem = f"the request body is over the limit of {limit_bytes} bytes; send fewer or smaller files in one request"
        super().__init__(problem, fields=(FieldProblem("body", problem),))


class IdempotencyMismatch(ValidationFailed):
    """A client token came back with other parameters."""

    def __init__(self) -> None:
        problem = "this clientToken was used before with other parameters; use a new token for a new request"
        super().__init__(problem, reason="IdempotentParameterMismatchException", fields=(FieldProblem("clientToken", problem),))


class SessionNotActive(ValidationFailed):
    """The session is known and has ended. Clients look for its message to start another session."""

    guide_name = "SessionNotFoundException"

    def __init__(self, session_id: str, *, end_reason: str, ended_at: datetime | None) -> None:
        when = f" at {ended_at.isoformat(timespec='seconds')}" if ended_at else ""
        problem = f"Code interpreter session {session_id} is not active: it ended{when} ({end_reason}); start a new session"
        super().__init__(problem, reason="ResourceConflict")


class ResourceNotFound(CellblockError):
    """Nothing has this id."""

    code = "ResourceNotFoundException"
    status = 404


class SessionNotFound(ResourceNotFound):
    """No session has this id under this interpreter."""

    guide_name = "SessionNotFoundException"

    def __init__(self, session_id: str, interpreter_id: str) -> None:
        super().__init__(f"code interpreter {interpreter_id} has no session {session_id}")


class InterpreterNotFound(ResourceNotFound):
    """No interpreter has this id in this account."""

    def __init__(self, interpreter_id: str) -> None:
        super().__init__(f"code interpreter {interpreter_id} does not exist in this account")


class AccountNotFound(ResourceNotFound):
    """No account has this id."""

    def __init__(self, account: str) -> None:
        super().__init__(f"there is no account {account}; make it with: cellblock accounts create {account} --name NAME")


class NodeNotFound(ResourceNotFound):
    """No node that is up has this name or id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no node {name} that is up; `cellblock nodes list` names those that are")


class AccessKeyNotFound(ResourceNotFound):
    """No access key has this id or name, or it is revoked already."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no access key {key} in force; `cellblock keys list` names those that are")


class Conflict(CellblockError):
    """The request does not fit the state of the resource."""

    code = "ConflictException"
    status = 409


class NameInUse(Conflict):
    """Another interpreter of the account has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"CodeInterpreter with name '{name}' already exists in this account")


class AccountExists(Conflict):
    """Another account has this id or name."""

    def __init__(self, account: str, name: str) -> None:
        super().__init__(f"account {account}, or another one with the name {name}, exists; `cellblock accounts list` shows them")


class KeyNameInUse(Conflict):
    """Another key of the account, one that is not revoked, has this name."""

    def __init__(self, name: str, account: str) -> None:
        super().__init__(f"account {account} has a key named {name}; choose another name, or revoke that one: cellblock keys revoke {name}")


class SessionAlreadyTerminated(Conflict):
    """A session is stopped once."""

    def __init__(self, session_id: str, *, end_reason: str) -> None:
        super().__init__(f"Session already terminated: {session_id} ({end_reason})")


class InterpreterInUse(Conflict):
    """An interpreter is deleted only when its sessions have ended."""

    def __init__(self, interpreter_id: str, *, live_sessions: int) -> None:
        noun = "session" if live_sessions == 1 else "sessions"
        super().__init__(f"code interpreter {interpreter_id} has {live_sessions} live {noun}; stop them before deleting it")


class QuotaExceeded(CellblockError):
    """A limit on how much may exist or run at once: its name, its value, and how to raise it."""

    code = "ServiceQuotaExceededException"
    status = 402

    @classmethod
    def of(cls, quota: str, limit: int, *, found: str, setting: str) -> QuotaExceeded:
        """For a quota that has a name and a number."""
        return cls(f"the quota '{quota}' is {limit} and {found}, or let the operator raise the setting {setting}")


class Throttled(CellblockError):
    """Requests come faster than the rate that is allowed."""

    code = "ThrottlingException"
    status = 429

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ServerStopping(Throttled):
    """The server is told to stop."""

    is_of_this_machine = True

    def __init__(self) -> None:
        super().__init__("the server is stopping and takes nothing more; try again when it is back")


class NoRoom(Throttled):
    """Every node of the cluster is full."""

    def __init__(self) -> None:
        super().__init__("this cluster has no room for another session; try again when other sessions have ended or nodes have come")


class NodeIsBusy(Throttled):
    """A front end has too much under way at a node."""

    def __init__(self, name: str) -> None:
        super().__init__(f"too many requests are under way at node {name}; try again when some are over")


class AccessDenied(CellblockError):
    """The key is known and may not do this."""

    code = "AccessDeniedException"
    status = 403


class MissingAuthentication(CellblockError):
    """The request is not signed, or not in a form that is accepted."""

    code = "MissingAuthenticationTokenException"
    status = 403


class UnknownKey(CellblockError):
    """No access key has this id."""

    code = "UnrecognizedClientException"
    status = 403

    def __init__(self) -> None:
        super().__init__("the access key id of this request is not known here, or is revoked or expired; `cellblock env` prints one")


class BadSignature(CellblockError):
    """The signature does not belong to this request, key and time."""

    code = "InvalidSignatureException"
    status = 403


class UnknownOperation(CellblockError):
    """No operation has this method and path."""

    code = "UnknownOperationException"
    status = 404

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"no operation answers to {method} {path[:200]}")


class Internal(CellblockError):
    """The service failed; not the user's doing."""

    guide_name = "InternalServerError"


class StoreUnavailable(Internal):
    """The database does not answer; SDKs try again."""

    public_message = "the service's database does not answer; nothing was done, or it is not known: try again"


class HostNotReady(Internal):
    """This machine lacks something that cells need; for its operator to mend."""

    is_of_this_machine = True
    public_message = "this machine cannot run sessions; its operator finds the cause with `cellblock doctor` and in the server's log"


class HostIsFull(HostNotReady):
    """What another cell needs is used up for now; SDKs try again, with pauses, what is throttled."""

    code = "ThrottlingException"
    status = 429
    guide_name = ""
    public_message = (
        "this machine has no room for another session: memory, processes, open files or processor time are used up;"
        " try again when other sessions have ended"
    )


class NodeClosed(HostIsFull):
    """The node that was to run a session drains or has ended; nothing was kept."""

    public_message = "the machine that was to run this session takes no new ones; try again"


class CellDied(HostNotReady):
    """A cell ended before its session could begin."""

    public_message = (
        "the session's sandbox was killed while it started; start the session again,"
        " and when that fails too, the operator finds the cause in the server's log"
    )


_SHORTAGES = {"EAGAIN", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ENOSPC", "EUSERS"}  # as Linux says that something is used up


def host_failed(what: str, error_name: str) -> HostNotReady:
    """The failure of a step that opens a cell, by the name of the system's error."""
    kind = HostIsFull if error_name in _SHORTAGES else HostNotReady
    return kind(f"{what} ({error_name})")


class NodeGone(Internal):
    """The node that has a session cannot be reached, or went away under a call."""

    def __init__(self, name: str, reason: str, *, is_sent: bool) -> None:
        done = "what it did with the request is not known" if is_sent else "it has not seen the request"
        super().__init__(f"node {name} does not answer ({reason}): {done}; try again, and when its sessions have ended, start a new one")


class MountFailed(Internal):
    """A directory that the operator lets a session have could not be mounted."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the file system at /mnt/{name} could not be mounted: {reason}")


class CellEnded(Internal):
    """A cell died under a call."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the session's sandbox ended: {reason}")
        self.reason = reason
