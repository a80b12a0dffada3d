"""Errors reach a botocore client with their code, message and fields, before the stream and in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.exceptions import EventStreamError

from cellblock import errors
from cellblock.errors import CellblockError, FieldProblem
from cellblock.model.results import ToolResult
from cellblock.wire.encoding import error, stream_headers
from cellblock.wire.eventstream import exception_event
from wire.botocore_judge import parsed, streamed

ENDED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FIELDS = (FieldProblem("name", "must match"), FieldProblem("tags.a", "must have"))
ALL = (
    errors.ValidationFailed("2 fields", fields=FIELDS),
    errors.BodyTooLarge(1000),
    errors.IdempotencyMismatch(),
    errors.SessionNotActive("S", end_reason="its lifetime of 900 s was over", ended_at=ENDED),
    errors.SessionNotFound("S", "I"),
    errors.InterpreterNotFound("I"),
    errors.NameInUse("mine"),
    errors.SessionAlreadyTerminated("S", end_reason="stopped"),
    errors.InterpreterInUse("I", live_sessions=2),
    errors.QuotaExceeded.of("sessions", 10, found="ten live", setting="CELLBLOCK_MAX_SESSIONS"),
    errors.Throttled("slower"),
    errors.AccessDenied("no right"),
    errors.MissingAuthentication("not signed"),
    errors.UnknownKey(),
    errors.BadSignature("does not match"),
    errors.UnknownOperation("GET", "/"),
    errors.Internal("broken"),
    errors.HostNotReady("/sys/fs/cgroup/secret is not delegated"),
    errors.HostIsFull("cgroup /sys/fs/cgroup/x cannot be made"),
    errors.CellDied("a cell died while it started"),
    errors.CellEnded("out of memory"),
)


def in_stream(failure: CellblockError) -> EventStreamError:
    answer = streamed(stream_headers("S", ToolResult(content=()), "5f2c"), exception_event(failure))
    with pytest.raises(EventStreamError) as caught:
        list(answer["stream"])
    return caught.value


@pytest.mark.parametrize("failure", ALL, ids=lambda failure: type(failure).__name__)
def test_code_status_and_request_id_reach_the_client(failure: CellblockError) -> None:
    answer = parsed("InvokeCodeInterpreter", error(failure, "5f2c"))
    assert answer["Error"]["Code"] == failure.code
    assert failure.message in answer["Error"]["Message"] or failure.public_message in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == failure.status
    assert answer["ResponseMetadata"]["RequestId"] == "5f2c"


def test_code_is_in_header_and_body() -> None:
    answer = error(errors.Throttled("slower"), "5f2c")
    assert answer.headers["x-amzn-ErrorType"] == "ThrottlingException"
    assert answer.body == b'{"__type":"ThrottlingException","message":"slower"}'


def test_validation_carries_reason_and_fields() -> None:
    answer = parsed("StartCodeInterpreterSession", error(errors.ValidationFailed("2 fields", fields=FIELDS), "5f2c"))
    assert answer["reason"] == "FieldValidationFailed"
    assert answer["fieldList"] == [{"name": "name", "message": "must match"}, {"name": "tags.a", "message": "must have"}]


def test_token_used_with_other_parameters_has_its_reason() -> None:
    answer = parsed("StartCodeInterpreterSession", error(errors.IdempotencyMismatch(), "5f2c"))
    assert answer["reason"] == "IdempotentParameterMismatchException"


def test_ended_session_says_what_clients_look_for_and_when_and_why() -> None:
    failure = errors.SessionNotActive("S", end_reason="its lifetime of 900 s was over", ended_at=ENDED)
    message = parsed("InvokeCodeInterpreter", error(failure, "5f2c"))["Error"]["Message"]
    assert message.startswith("SessionNotFoundException: Code interpreter session S is not active: ")
    assert "2026-01-02T03:04:05+00:00" in message
    assert "its lifetime of 900 s was over" in message


@pytest.mark.parametrize("failure", [failure for failure in ALL if not isinstance(failure, errors.SessionNotActive)], ids=type)
def test_no_other_message_reads_like_an_ended_session(failure: CellblockError) -> None:
    assert b"is not active" not in error(failure, "5f2c").body


@pytest.mark.parametrize("failure", [errors.Internal("broken"), errors.HostNotReady("x"), errors.CellEnded("x")], ids=type)
def test_own_failures_begin_with_the_guides_name(failure: CellblockError) -> None:
    answer = parsed("InvokeCodeInterpreter", error(failure, "5f2c"))
    assert answer["Error"]["Code"] == "InternalServerException"
    assert answer["Error"]["Message"].startswith("InternalServerError: ")


def test_host_paths_stay_on_the_host() -> None:
    assert b"/sys/fs" not in error(errors.HostNotReady("/sys/fs/cgroup/secret is not delegated"), "5f2c").body


@pytest.mark.parametrize("failure", [failure for failure in ALL if failure.status not in (403, 404) or failure.code[0] in "AR"], ids=type)
def test_modelled_errors_reach_the_client_in_a_stream(failure: CellblockError) -> None:
    caught = in_stream(failure)
    assert caught.response["Error"]["Code"].lower() == failure.code.lower()
    assert failure.message in caught.response["Error"]["Message"] or failure.public_message in caught.response["Error"]["Message"]


def test_errors_that_streams_do_not_have_are_internal_ones() -> None:
    assert in_stream(errors.BadSignature("late")).response["Error"]["Code"] == "internalServerException"
