"""The four operations on interpreters, over a real socket by stock boto3."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from running_server import BUILT_IN, Json, RunningServer, refused

ROLE = "arn:aws:iam::123456789012:role/CodeInterpreterRole"
VPC = {
    "networkMode": "VPC",
    "vpcConfig": {"securityGroups": ["sg-0123456789abcdef0"], "subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]},
}
CERTIFICATES = [
    {"location": {"secretsManager": {"secretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:root-ca-AbCdEf"}}},
]
FILE_SYSTEMS = [
    {
        "efsConfiguration": {
            "accessPointArn": "arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-0123456789abcdef0",
            "mountPath": "/mnt/data",
            "fileSystemArn": "arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-0123456789abcdef0",
        }
    }
]
SANDBOX = {"networkMode": "SANDBOX"}


def new_name(prefix: str = "conformance") -> str:
    """A name that no other test has."""
    return f"{prefix}_{uuid4().hex[:12]}"


def every_page(server: RunningServer, **arguments: object) -> Iterator[Json]:
    """The pages of a list of interpreters."""
    while True:
        page = server.control.list_code_interpreters(**arguments)
        yield page
        if "nextToken" not in page:
            return
        arguments["nextToken"] = page["nextToken"]


def ids(server: RunningServer, **arguments: object) -> list[str]:
    return [one["codeInterpreterId"] for page in every_page(server, **arguments) for one in page["codeInterpreterSummaries"]]


def test_created_interpreter_has_id_arn_status_and_time(server: RunningServer) -> None:
    name = new_name()
    made = server.create(name)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert re.fullmatch(rf"{name}-[0-9A-Za-z]{{10}}", made["codeInterpreterId"])
    arn = rf"arn:aws:bedrock-agentcore:us-west-2:[0-9]{{12}}:code-interpreter-custom/{made['codeInterpreterId']}"
    assert re.fullmatch(arn, made["codeInterpreterArn"])
    assert made["status"] == "READY"
    assert abs(datetime.now(UTC) - made["createdAt"]) < timedelta(minutes=1)


def test_get_returns_every_member_of_create(server: RunningServer) -> None:
    name = new_name()
    made = server.create(
        name,
        description="for the tests",
        executionRoleArn=ROLE,
        networkConfiguration=VPC,
        certificates=CERTIFICATES,
        filesystemConfigurations=FILE_SYSTEMS,
        tags={"team": "data", "cost centre": "42"},
    )
    found = server.control.get_code_interpreter(codeInterpreterId=made["codeInterpreterId"])
    del found["ResponseMetadata"]
    assert found == {
        "codeInterpreterId": made["codeInterpreterId"],
        "codeInterpreterArn": made["codeInterpreterArn"],
        "name": name,
        "description": "for the tests",
        "executionRoleArn": ROLE,
        "networkConfiguration": VPC,
        "status": "READY",
        "certificates": CERTIFICATES,
        "filesystemConfigurations": FILE_SYSTEMS,
        "createdAt": made["createdAt"],
        "lastUpdatedAt": made["createdAt"],
    }


def test_get_leaves_out_what_was_not_given(server: RunningServer) -> None:
    found = server.control.get_code_interpreter(codeInterpreterId=server.create(new_name())["codeInterpreterId"])
    assert not {"description", "executionRoleArn", "certificates", "filesystemConfigurations", "failureReason"} & found.keys()


@pytest.mark.parametrize("mode", ["PUBLIC", "SANDBOX"])
def test_network_mode_is_kept(server: RunningServer, mode: str) -> None:
    made = server.create(new_name(), networkConfiguration={"networkMode": mode})
    found = server.control.get_code_interpreter(codeInterpreterId=made["codeInterpreterId"])
    assert found["networkConfiguration"] == {"networkMode": mode}


def test_hyphens_of_the_guide_s_names_are_accepted(server: RunningServer) -> None:
    name = new_name("data-analysis-interpreter")
    made = server.create(name)
    with server.session(interpreter=made["codeInterpreterId"]) as session:
        assert session.printed("print(6 * 7)") == "42"


@pytest.mark.parametrize("region", ["eu-central-1", "ap-southeast-2"])
def test_signed_region_is_echoed_in_arns(server: RunningServer, region: str) -> None:
    control = server.client("bedrock-agentcore-control", region=region)
    made = control.create_code_interpreter(name=new_name(), networkConfiguration=SANDBOX)
    assert made["codeInterpreterArn"].split(":")[3] == region


def test_interpreter_of_one_region_is_found_from_another(server: RunningServer) -> None:
    made = server.create(new_name())
    control = server.client("bedrock-agentcore-control", region="eu-west-1")
    assert control.get_code_interpreter(codeInterpreterId=made["codeInterpreterId"])["name"] in made["codeInterpreterId"]


def test_built_in_interpreter_is_described(server: RunningServer) -> None:
    found = server.control.get_code_interpreter(codeInterpreterId=BUILT_IN)
    assert found["codeInterpreterArn"] == f"arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/{BUILT_IN}"
    assert (found["status"], found["networkConfiguration"]) == ("READY", SANDBOX)


def test_list_of_type_system_is_the_built_in_one(server: RunningServer) -> None:
    assert ids(server, type="SYSTEM") == [BUILT_IN]


def test_list_of_type_custom_leaves_the_built_in_one_out(server: RunningServer) -> None:
    made = server.create(new_name())
    found = ids(server, type="CUSTOM")
    assert made["codeInterpreterId"] in found
    assert BUILT_IN not in found


def test_list_without_a_type_has_both(server: RunningServer) -> None:
    made = server.create(new_name())
    assert {BUILT_IN, made["codeInterpreterId"]} <= set(ids(server))


def test_summary_has_every_member(server: RunningServer) -> None:
    name = new_name()
    made = server.create(name, description="short")
    (summary,) = [
        one
        for page in every_page(server)
        for one in page["codeInterpreterSummaries"]
        if one["codeInterpreterId"] == made["codeInterpreterId"]
    ]
    assert summary == {
        "codeInterpreterId": made["codeInterpreterId"],
        "codeInterpreterArn": made["codeInterpreterArn"],
        "name": name,
        "description": "short",
        "status": "READY",
        "createdAt": made["createdAt"],
        "lastUpdatedAt": made["createdAt"],
    }


def test_list_pages_by_token_without_a_gap_or_a_repeat(server: RunningServer) -> None:
    made = {server.create(new_name())["codeInterpreterId"] for _ in range(5)}
    pages = list(every_page(server, type="CUSTOM", maxResults=2))
    assert all(len(page["codeInterpreterSummaries"]) == 2 for page in pages[:-1])
    found = [one["codeInterpreterId"] for page in pages for one in page["codeInterpreterSummaries"]]
    assert made <= set(found)
    assert len(found) == len(set(found))


def test_boto3_s_own_paginator_walks_the_list(server: RunningServer) -> None:
    made = {server.create(new_name())["codeInterpreterId"] for _ in range(3)}
    pages = server.control.get_paginator("list_code_interpreters").paginate(PaginationConfig={"PageSize": 1})
    assert made <= {one["codeInterpreterId"] for page in pages for one in page["codeInterpreterSummaries"]}


def test_token_that_is_none_of_ours_is_invalid(server: RunningServer) -> None:
    error = refused(server.control.list_code_interpreters, nextToken="eyJuZXh0VG9rZW4iOiAxfQ==")
    assert error["Error"]["Code"] == "ValidationException"
    assert [field["name"] for field in error["fieldList"]] == ["nextToken"]


def test_name_in_use_conflicts(server: RunningServer) -> None:
    name = new_name()
    server.create(name)
    error = refused(server.control.create_code_interpreter, name=name, networkConfiguration=SANDBOX)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert error["Error"] == {"Code": "ConflictException", "Message": f"CodeInterpreter with name '{name}' already exists in this account"}


def test_name_is_free_again_after_delete(server: RunningServer) -> None:
    name = new_name()
    first = server.create(name)["codeInterpreterId"]
    server.control.delete_code_interpreter(codeInterpreterId=first)
    assert server.create(name)["codeInterpreterId"] != first


def test_delete_answers_with_the_id_and_a_status(server: RunningServer) -> None:
    made = server.create(new_name())
    deleted = server.control.delete_code_interpreter(codeInterpreterId=made["codeInterpreterId"])
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (deleted["codeInterpreterId"], deleted["status"]) == (made["codeInterpreterId"], "DELETING")
    assert deleted["lastUpdatedAt"] >= made["createdAt"]


def test_deleted_interpreter_is_gone(server: RunningServer) -> None:
    made = server.create(new_name())
    named = {"codeInterpreterId": made["codeInterpreterId"]}
    server.control.delete_code_interpreter(**named)
    for operation in (server.control.get_code_interpreter, server.control.delete_code_interpreter):
        assert refused(operation, **named)["Error"]["Code"] == "ResourceNotFoundException"
    assert made["codeInterpreterId"] not in ids(server)


def test_built_in_interpreter_is_not_deleted(server: RunningServer) -> None:
    error = refused(server.control.delete_code_interpreter, codeInterpreterId=BUILT_IN)
    assert 400 <= error["ResponseMetadata"]["HTTPStatusCode"] < 500
    assert ids(server, type="SYSTEM") == [BUILT_IN]


def test_delete_with_live_sessions_conflicts_and_says_how_many(server: RunningServer) -> None:
    made = server.create(new_name())
    with server.session(interpreter=made["codeInterpreterId"]), server.session(interpreter=made["codeInterpreterId"]):
        error = refused(server.control.delete_code_interpreter, codeInterpreterId=made["codeInterpreterId"])
    assert error["Error"]["Code"] == "ConflictException"
    assert "2 live sessions" in error["Error"]["Message"]


def test_interpreter_is_deleted_when_its_sessions_have_ended(server: RunningServer) -> None:
    made = server.create(new_name())
    with server.session(interpreter=made["codeInterpreterId"]):
        pass
    assert server.control.delete_code_interpreter(codeInterpreterId=made["codeInterpreterId"])["status"] == "DELETING"


def test_unknown_interpreter_is_not_found(server: RunningServer) -> None:
    error = refused(server.control.get_code_interpreter, codeInterpreterId="nothing-0123456789")
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ResourceNotFoundException", 404)
    assert "nothing-0123456789" in error["Error"]["Message"]


def test_create_with_the_same_client_token_makes_one(server: RunningServer) -> None:
    name, token = new_name(), uuid4().hex + uuid4().hex
    first, again = (server.create(name, clientToken=token, description="one") for _ in range(2))
    assert first["codeInterpreterId"] == again["codeInterpreterId"]
    assert first["createdAt"] == again["createdAt"]


def test_create_with_the_same_client_token_and_other_parameters_is_a_mismatch(server: RunningServer) -> None:
    name, token = new_name(), uuid4().hex + uuid4().hex
    server.create(name, clientToken=token, description="one")
    error = refused(
        server.control.create_code_interpreter, name=name, networkConfiguration=SANDBOX, clientToken=token, description="another"
    )
    assert error["Error"]["Code"] == "ValidationException"
    assert error["reason"] == "IdempotentParameterMismatchException"
    assert [field["name"] for field in error["fieldList"]] == ["clientToken"]


def test_delete_with_the_same_client_token_answers_again(server: RunningServer) -> None:
    made = server.create(new_name())
    named = {"codeInterpreterId": made["codeInterpreterId"], "clientToken": uuid4().hex + uuid4().hex}
    first, again = (server.control.delete_code_interpreter(**named) for _ in range(2))
    assert first["codeInterpreterId"] == again["codeInterpreterId"]
