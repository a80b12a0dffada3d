"""Who may ask: keys, signatures, rights."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from cellblock.errors import AccessDenied
from cellblock.model.policies import Policy, Statement
from cellblock.model.resources import AccessKey, now
from cellblock.service.access import require
from service.served import BUILT_IN, Served, off_loop, refused

ARN = f"arn:aws:bedrock-agentcore:us-east-1:aws:code-interpreter/{BUILT_IN}"


async def error_of(client: Any) -> tuple[str, int]:
    error = await refused(client.list_code_interpreter_sessions, codeInterpreterIdentifier=BUILT_IN)
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]


async def test_wrong_secret_is_refused(served: Served) -> None:
    assert await error_of(served.data(secret="x" * 40)) == ("InvalidSignatureException", 403)


async def test_unknown_key_is_refused(served: Served) -> None:
    assert await error_of(served.data(key_id="AKIAAAAAAAAAAAAAAAAA")) == ("UnrecognizedClientException", 403)


async def test_unsigned_request_is_refused(served: Served) -> None:
    answer = await off_loop(httpx.get, f"{served.endpoint}/code-interpreters/{BUILT_IN}")
    assert (answer.status_code, answer.json()["__type"]) == (403, "MissingAuthenticationTokenException")
    assert answer.headers["x-amzn-requestid"]


async def test_unknown_path_is_an_unknown_operation(served: Served) -> None:
    answer = await off_loop(httpx.get, f"{served.endpoint}/nothing/here")
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


async def test_encoded_body_is_refused(served: Served) -> None:
    url = f"{served.endpoint}/code-interpreters/{BUILT_IN}/sessions/list"
    answer = await off_loop(httpx.post, url, content=b"{}", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["__type"]) == (400, "ValidationException")


async def test_any_signed_region_is_echoed_in_arns(served: Served) -> None:
    listed = await off_loop(served.control(region="eu-central-1").list_code_interpreters)
    assert listed["codeInterpreterSummaries"][0]["codeInterpreterArn"] == ARN.replace("us-east-1", "eu-central-1")


def key(*, actions: tuple[str, ...], resources: tuple[str, ...] = ("*",)) -> AccessKey:
    policy = Policy((Statement("Allow", actions, resources),))
    return AccessKey(id="AKIA", secret="s", account="123456789012", name="ann", created_at=now(), policy=policy)


@pytest.mark.parametrize(
    "action",
    ["*", "bedrock-agentcore:*", "bedrock-agentcore:Start*", "Bedrock-AgentCore:startcodeinterpretersession", "*:St?rtCode*Session"],
)
def test_action_with_wildcards_allows(action: str) -> None:
    require(key(actions=("s3:Get*", action)), operation="StartCodeInterpreterSession", resource_arn=ARN)


@pytest.mark.parametrize("action", ["bedrock-agentcore:Stop*", "bedrock-agentcore:Start", "s3:*", "bedrock.agentcore:*", "[bs]*"])
def test_other_action_is_denied(action: str) -> None:
    with pytest.raises(AccessDenied, match="ann is not authorized to perform: bedrock-agentcore:StartCodeInterpreterSession"):
        require(key(actions=(action,)), operation="StartCodeInterpreterSession", resource_arn=ARN)


def test_other_resource_is_denied() -> None:
    with pytest.raises(AccessDenied):
        require(key(actions=("*",), resources=("arn:*:code-interpreter-custom/a-*",)), operation="GetCodeInterpreter", resource_arn=ARN)
    require(key(actions=("*",), resources=("arn:*:code-interpreter/*",)), operation="GetCodeInterpreter", resource_arn=ARN)
