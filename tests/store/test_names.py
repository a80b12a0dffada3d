"""How ids and ARNs look, with botocore's patterns as the judge."""

from __future__ import annotations

import re
from uuid import UUID

import botocore.session
import pytest

from cellblock.model.resources import BUILT_IN_INTERPRETER, Interpreter, new_interpreter_id, new_session_id, new_task_id
from store.things import ACCOUNT, interpreter, session


def pattern(service: str, shape: str) -> str:
    model = botocore.session.get_session().get_service_model(service)
    return str(model.shape_for(shape).metadata["pattern"])


def test_session_id_is_a_ulid_that_sorts_by_time() -> None:
    made = new_session_id()
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", made)
    assert re.fullmatch(pattern("bedrock-agentcore", "CodeInterpreterSessionId"), made)


def test_interpreter_id_is_one_that_the_api_takes() -> None:
    assert re.fullmatch(pattern("bedrock-agentcore-control", "CodeInterpreterId"), new_interpreter_id("analysis"))


def test_task_id_is_a_random_uuid() -> None:
    assert UUID(new_task_id()).version == 4


@pytest.mark.parametrize(
    ("one", "start"),
    [
        (interpreter(), f"arn:aws:bedrock-agentcore:eu-west-1:{ACCOUNT}:code-interpreter-custom/analysis-"),
        (BUILT_IN_INTERPRETER, "arn:aws:bedrock-agentcore:eu-west-1:aws:code-interpreter/aws.codeinterpreter.v1"),
    ],
)
def test_arn_is_one_that_the_api_has(one: Interpreter, start: str) -> None:
    arn = one.arn("eu-west-1")
    assert arn.startswith(start)
    assert re.fullmatch(pattern("bedrock-agentcore-control", "CodeInterpreterArn"), arn)


def test_session_expires_its_timeout_after_its_start() -> None:
    made = session(timeout_seconds=28_800)
    assert (made.expires_at - made.created_at).total_seconds() == 28_800
