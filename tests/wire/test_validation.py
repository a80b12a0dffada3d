"""A bad request names every bad field, its limit and what is wanted; a good one at the limit passes."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest

from cellblock.errors import ValidationFailed
from cellblock.model.base64_text import Base64Text
from cellblock.model.requests import Invoke
from cellblock.wire.head import read_head
from cellblock.wire.operations import FILE_BODY_BYTES, match
from cellblock.wire.validation import ITEMS_MAX, PROBLEMS_NAMED, parse
from wire.botocore_judge import received

CREATE: dict[str, Any] = {"name": "mine", "networkConfiguration": {"networkMode": "SANDBOX"}}
OTHERS: dict[str, dict[str, Any]] = {"CreateCodeInterpreter": CREATE, "ListCodeInterpreters": {}}
INVOKE_PATH = b"/code-interpreters/aws.codeinterpreter.v1/tools/invoke"
SESSION_HEADER = (b"x-amzn-code-interpreter-session-id", b"abc")


def problems(name: str, parameters: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as caught:
        received(name, parameters)
    return {field.name: field.message for field in caught.value.fields}


def invoked(body: bytes) -> Invoke:
    head = read_head("POST", INVOKE_PATH, b"", [SESSION_HEADER])
    request = parse(match(head), head, body)
    assert isinstance(request, Invoke)
    return request


def invoke_problems(body: bytes) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as caught:
        invoked(body)
    return {field.name: field.message for field in caught.value.fields}


def test_every_bad_field_is_named_at_once() -> None:
    sent = {
        "name": "9lives",
        "description": "",
        "executionRoleArn": "role",
        "networkConfiguration": {"networkMode": "OPEN", "vpcConfig": {"securityGroups": [], "subnets": ["subnet-01234567", "x"]}},
        "certificates": [{"location": {}}, {}],
        "filesystemConfigurations": [{"s3FilesConfiguration": {"mountPath": "/etc"}}],
        "clientToken": "short",
        "tags": {"bad!": "fine", "fine": "bad!"},
    }
    assert problems("CreateCodeInterpreter", sent).keys() == {
        "name",
        "description",
        "executionRoleArn",
        "networkConfiguration.networkMode",
        "networkConfiguration.vpcConfig.securityGroups",
        "networkConfiguration.vpcConfig.subnets[1]",
        "certificates[0].location",
        "certificates[1].location",
        "filesystemConfigurations[0].s3FilesConfiguration.accessPointArn",
        "filesystemConfigurations[0].s3FilesConfiguration.mountPath",
        "filesystemConfigurations[0].s3FilesConfiguration.fileSystemArn",
        "clientToken",
        "tags.bad! (the key)",
        "tags.fine",
    }


def test_fields_in_path_query_header_and_body_are_named_together() -> None:
    sent = {"codeInterpreterIdentifier": "a/b", "sessionId": "?", "traceParent": "x" * 1025, "clientToken": 7}
    assert problems("StopCodeInterpreterSession", sent).keys() == {"codeInterpreterIdentifier", "sessionId", "traceParent", "clientToken"}


def test_message_names_field_and_limit() -> None:
    with pytest.raises(ValidationFailed) as caught:
        received("StartCodeInterpreterSession", {"codeInterpreterIdentifier": "mine", "sessionTimeoutSeconds": 28_801})
    assert caught.value.message == "sessionTimeoutSeconds must be from 1 to 28800"
    assert caught.value.reason == "FieldValidationFailed"


def test_invoke_without_session_names_the_header() -> None:
    sent = {"codeInterpreterIdentifier": "mine", "name": "listFiles"}
    assert problems("InvokeCodeInterpreter", sent) == {"sessionId": "is required (as the header x-amzn-code-interpreter-session-id)"}


def test_values_are_not_repeated_in_messages() -> None:
    found = invoke_problems(b'{"name":"secret-name","arguments":{"language":"secret-code"}}')
    assert found.keys() == {"name", "arguments.language"}
    assert not any("secret" in message for message in found.values())


@pytest.mark.parametrize(
    ("operation", "member", "good", "bad"),
    [
        ("CreateCodeInterpreter", "name", ["a", "a" * 48, "a-b_c"], ["", "a" * 49, "_a", "a\n", "a b"]),
        ("CreateCodeInterpreter", "description", ["d", "d" * 4096], ["", "d" * 4097]),
        ("CreateCodeInterpreter", "clientToken", ["a" * 33, "a" * 256, "a-" * 16 + "b"], ["a" * 32, "a" * 257, "-" + "a" * 33]),
        ("CreateCodeInterpreter", "tags", [{}, {str(i): "" for i in range(50)}], [{str(i): "" for i in range(51)}]),
        ("ListCodeInterpreters", "maxResults", [1, 100], [0, 101, "ten", "", "1.0"]),
        ("ListCodeInterpreters", "type", ["SYSTEM", "CUSTOM"], ["system", ""]),
        ("ListCodeInterpreters", "nextToken", ["n", "n" * 2048], ["", "n" * 2049, "a b"]),
        ("StartCodeInterpreterSession", "name", ["n", "n" * 100], ["", "n" * 101]),
        ("StartCodeInterpreterSession", "sessionTimeoutSeconds", [1, 28_800], [0, 28_801]),
        ("GetCodeInterpreterSession", "sessionId", ["s", "s" * 40], ["", "s" * 41, "s_s", "s%2e"]),
        ("ListCodeInterpreterSessions", "status", ["READY", "TERMINATED"], ["DELETED"]),
        ("ListCodeInterpreterSessions", "maxResults", [1, 100], [0, 101, -1]),
    ],
)
def test_limits_hold_at_their_edges(operation: str, member: str, good: list[object], bad: list[object]) -> None:
    others = OTHERS.get(operation, {"codeInterpreterIdentifier": "mine"})
    for value in good:
        received(operation, {**others, member: value})
    for value in bad:
        assert problems(operation, {**others, member: value}).keys() == {member}


@pytest.mark.parametrize(
    ("arguments", "name", "wanted"),
    [
        ({"code": 1}, "arguments.code", "must be a string"),
        ({"clearContext": "true"}, "arguments.clearContext", "must be true or false"),
        ({"paths": "a"}, "arguments.paths", "must be a list"),
        ({"paths": ["a", None]}, "arguments.paths[1]", "must be a string"),
        ({"content": {}}, "arguments.content", "must be a list"),
        ({"content": ["a"]}, "arguments.content[0]", "must be an object"),
        ({"content": [{"text": "a"}]}, "arguments.content[0].path", "is required"),
        ({"content": [{"path": "a", "blob": 7}]}, "arguments.content[0].blob", "must be bytes in base64"),
        ({"content": [{"path": "a", "blob": "YQ"}]}, "arguments.content[0].blob", "must be bytes in base64"),
        ({"content": [{"path": "a", "blob": "Y*=="}]}, "arguments.content[0].blob", "must be bytes in base64"),
        ({"content": [{"path": "a", "blob": "YWJj\nYWJj"}]}, "arguments.content[0].blob", "must be bytes in base64"),
    ],
)
def test_wrong_types_are_named(arguments: dict[str, Any], name: str, wanted: str) -> None:
    found = invoke_problems(json.dumps({"name": "writeFiles", "arguments": arguments}).encode())
    assert found.keys() == {name}
    assert found[name].startswith(wanted)


def test_integers_are_not_strings_fractions_or_booleans() -> None:
    head = read_head("POST", b"/code-interpreters/mine/sessions/list", b"", [])
    for value in (b'"5"', b"5.0", b"true", b"5e0", b"[]"):
        with pytest.raises(ValidationFailed, match="maxResults must be a whole number"):
            parse(match(head), head, b'{"maxResults":' + value + b"}")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'"x"', b"{}{}", b"\xff", b"\xef\xbb\xbf{}", b'{"name":NaN}', b"[" * 100_000, b'{"a":' * 100_000],
)
def test_bodies_that_are_no_json_object_cannot_be_parsed(body: bytes) -> None:
    with pytest.raises(ValidationFailed) as caught:
        invoked(body)
    assert caught.value.reason == "CannotParse"
    assert [field.name for field in caught.value.fields] == ["body"]


@pytest.mark.parametrize("depth", range(0, 1200, 50))
def test_lists_nested_to_any_depth_are_refused(depth: int) -> None:
    with pytest.raises(ValidationFailed):
        invoked(b'{"name":"removeFiles","arguments":{"paths":[' + b"[" * depth + b"0" + b"]" * depth + b"]}}")


@pytest.mark.parametrize("text", [b'"\xff"', b'"\\ud800"', b'"\\x"'])
def test_text_that_is_not_unicode_is_refused(text: bytes) -> None:
    with pytest.raises(ValidationFailed):
        invoked(b'{"name":"executeCode","arguments":{"code":' + text + b"}}")


def test_a_query_member_is_given_once() -> None:
    head = read_head("GET", b"/code-interpreters/mine/sessions/get", b"sessionId=abc&sessionId=def", [])
    with pytest.raises(ValidationFailed, match="sessionId is given more than once"):
        parse(match(head), head, b"")


def test_a_header_given_twice_is_not_one_of_them() -> None:
    head = read_head("POST", INVOKE_PATH, b"", [SESSION_HEADER, SESSION_HEADER])
    with pytest.raises(ValidationFailed, match="sessionId must match"):
        parse(match(head), head, b'{"name":"listFiles"}')


def test_unions_have_exactly_one_member() -> None:
    both = {"s3FilesConfiguration": {}, "efsConfiguration": {}}
    found = problems("CreateCodeInterpreter", {**CREATE, "filesystemConfigurations": [both, {}]})
    assert found["filesystemConfigurations[0]"] == found["filesystemConfigurations[1]"]
    assert found["filesystemConfigurations[1]"] == "must have exactly one of s3FilesConfiguration, efsConfiguration"


def test_lists_without_a_limit_in_the_api_have_one() -> None:
    at_limit = json.dumps({"name": "removeFiles", "arguments": {"paths": ["p"] * ITEMS_MAX}}).encode()
    assert len(invoked(at_limit).arguments.paths or ()) == ITEMS_MAX
    over = json.dumps({"name": "removeFiles", "arguments": {"paths": ["p"] * (ITEMS_MAX + 1)}}).encode()
    assert invoke_problems(over).keys() == {"arguments.paths"}


def test_long_lists_of_long_items_are_whole() -> None:
    files = [{"path": f"f{i}", "text": "x" * 300} for i in range(ITEMS_MAX)]
    content = invoked(json.dumps({"name": "writeFiles", "arguments": {"content": files}}).encode()).arguments.content
    assert content is not None
    assert (len(content), content[-1].path) == (ITEMS_MAX, f"f{ITEMS_MAX - 1}")


def test_a_flood_of_items_is_refused_without_keeping_them() -> None:
    body = b'{"name":"removeFiles","arguments":{"paths":[' + b"0," * 5_000_000 + b"0]}}"
    tracemalloc.start()
    try:
        assert invoke_problems(body).keys() == {"arguments.paths"}
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_flood_of_problems_is_named_in_part_and_counted() -> None:
    with pytest.raises(ValidationFailed) as caught:
        invoked(b'{"name":"removeFiles","arguments":{"paths":[' + b"0," * 999 + b"0]}}")
    assert len(caught.value.fields) == PROBLEMS_NAMED
    assert caught.value.message.startswith("1000 fields are not valid: ")
    assert caught.value.message.endswith("; and 990 more")


def test_a_file_of_100_mb_fits_and_is_left_in_the_body() -> None:
    data = bytes(range(250)) * 400_000
    body = b'{"name":"writeFiles","arguments":{"content":[{"path":"big","blob":"' + base64.b64encode(data) + b'"}]}}'
    assert len(body) <= FILE_BODY_BYTES
    tracemalloc.start()
    try:
        content = invoked(body).arguments.content
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert content is not None
    blob = content[0].blob
    assert isinstance(blob, Base64Text)
    assert len(blob) == len(data)
    assert bytes(blob) == data
    assert peak < 1_000_000


LARGE = base64.b64encode(bytes(range(256)) * 1024).decode()  # without padding


@pytest.mark.parametrize("count", [1, 64, 65])
def test_large_files_come_whole_however_many_there_are(count: int) -> None:
    files = [{"path": str(i), "blob": LARGE} if i % 2 == 0 else {"path": str(i), "text": "é" * i, "blob": None} for i in range(count)]
    content = invoked(json.dumps({"name": "writeFiles", "arguments": {"content": files}}).encode()).arguments.content
    assert content is not None
    assert [file.path for file in content] == [str(i) for i in range(count)]
    assert all(bytes(file.blob) == base64.b64decode(LARGE) for file in content if file.blob is not None)
    assert [file.text for file in content] == [None if i % 2 == 0 else "é" * i for i in range(count)]


@pytest.mark.parametrize(
    "blob", [LARGE[:131_070] + "==" + LARGE, LARGE + "=", LARGE[:-1], LARGE + "AA=", LARGE + "\n", "é" + LARGE[1:], LARGE[:-4] + "A-_A"]
)
def test_large_file_that_is_no_base64_is_refused(blob: str) -> None:
    body = json.dumps({"name": "writeFiles", "arguments": {"content": [{"path": "x", "blob": blob}]}}).encode()
    assert "base64" in invoke_problems(body)["arguments.content[0].blob"]


def test_large_file_with_escapes_in_its_base64_is_taken() -> None:
    body = '{"name":"writeFiles","arguments":{"content":[{"path":"x","blob":"' + LARGE.replace("/", "\\/") + '"}]}}'
    content = invoked(body.encode()).arguments.content
    assert content is not None
    assert content[0].blob == base64.b64decode(LARGE)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ("null", None),
        ('{"content":null}', None),
        ("[]", "arguments"),
        ('{"content":{}}', "arguments.content"),
        ('{"content":[null]}', "arguments.content[0]"),
        ('{"content":[{"path":"x"},7]}', "arguments.content[1]"),
        ('{"content":[{"blob":"AAAA"}]}', "arguments.content[0].path"),
        ('{"content":[{"path":5}],"paths":[1]}', "arguments.content[0].path"),
    ],
)
def test_large_body_is_judged_as_a_small_one_is(arguments: str, field: str | None) -> None:
    small = f'{{"name":"writeFiles","arguments":{arguments}}}'
    large = f'{small[:-1]},"stepped over":"{LARGE}"}}'
    if field is None:
        assert invoked(large.encode()) == invoked(small.encode())
    else:
        assert field in invoke_problems(large.encode())
        assert invoke_problems(large.encode()) == invoke_problems(small.encode())


def test_a_file_over_100_mb_is_refused() -> None:
    body = b'{"name":"writeFiles","arguments":{"content":[{"path":"big","blob":"' + b"A" * 133_333_336 + b'"}]}}'
    assert invoke_problems(body) == {"arguments.content[0].blob": "must have at most 100000000 bytes, not 100000002"}
