"""Only what the owner of the secret signed gets through; botocore signs, as clients do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cellblock.errors import BadSignature, MissingAuthentication
from cellblock.wire.head import Head
from cellblock.wire.operations import SESSION_HEADER
from cellblock.wire.signature import CLOCK_TOLERANCE, body_digest, read_authorization, verify
from cellblock.wire.sigv4 import Authorization, sign
from wire.botocore_judge import ENDPOINT, KEY_ID, SECRET, body_of, head_of, serialized, signed, utc_now

INVOKE = {"codeInterpreterIdentifier": "aws.codeinterpreter.v1", "sessionId": "abc", "name": "executeCode", "arguments": {"code": "1"}}


def invoke_request() -> AWSRequest:
    return serialized("InvokeCodeInterpreter", INVOKE)


def check(head: Head, body: bytes, *, secret: str = SECRET, now: datetime | None = None) -> Authorization:
    authorization = read_authorization(head, now or utc_now())
    verify(head, authorization, secrets=(secret,), body_sha256=body_digest(body))
    return authorization


def with_headers(head: Head, *, drop: Iterable[str] = (), **changed: str) -> Head:
    kept = {name: value for name, value in head.headers.items() if name not in drop}
    return replace(head, headers=kept | {name.replace("_", "-"): value for name, value in changed.items()})


def test_a_signed_request_passes_and_says_who_and_where() -> None:
    request = signed(invoke_request(), region="ap-southeast-2")
    found = check(head_of(request), body_of(request))
    assert (found.key_id, found.region) == (KEY_ID, "ap-southeast-2")
    assert SESSION_HEADER in found.signed_headers


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("StartCodeInterpreterSession", {"codeInterpreterIdentifier": "mine", "name": "☃", "traceId": "t", "traceParent": "p"}),
        ("GetCodeInterpreterSession", {"codeInterpreterIdentifier": "mine", "sessionId": "a b&c=d+e/ü"}),
        ("ListCodeInterpreters", {"nextToken": "b=&a", "type": "SYSTEM", "maxResults": 1}),
        ("ListCodeInterpreters", {}),
        ("CreateCodeInterpreter", {"name": "mine"}),
        ("DeleteCodeInterpreter", {"codeInterpreterId": "mine", "clientToken": "x"}),
    ],
)
def test_every_kind_of_request_passes(name: str, parameters: dict[str, object]) -> None:
    request = signed(serialized(name, parameters))
    check(head_of(request), body_of(request))


@pytest.mark.parametrize("identifier", ["a/b", "a b", "ä", "%2e%2e", "a%", "..", ".", "a//b", "~!*'()", "a;b", "a:b@c", "a#b?c"])
def test_odd_paths_are_canonicalised_as_clients_do(identifier: str) -> None:
    request = signed(serialized("GetCodeInterpreterSession", {"codeInterpreterIdentifier": identifier, "sessionId": "x"}))
    check(head_of(request), b"")


@pytest.mark.parametrize("path", ["/code-interpreters/", "//code-interpreters", "/code-interpreters/./x", "/a/../code-interpreters", "/"])
def test_paths_with_dots_and_slashes_are_canonicalised_as_clients_do(path: str) -> None:
    request = signed(AWSRequest(method="GET", url=ENDPOINT + path))
    check(replace(head_of(request), path=path), b"")


@pytest.mark.parametrize("value", ["a", " a  b ", "a,b , c", "a \t b", "", "%20+/=~"])
@pytest.mark.parametrize("path", ["/code-interpreters/a.v1/tools/invoke", "/a_b~c-d/0", "/..a/b", "/a/.b", "/a//b", "/a/"])
def test_any_header_is_canonicalised_as_clients_do(path: str, value: str) -> None:
    request = AWSRequest(method="POST", url=ENDPOINT + path, data=b"{}", headers={"X-Odd": value, "A": "1"})
    signed_request = signed(request)
    check(head_of(signed_request), body_of(signed_request))


def test_security_token_is_signed() -> None:
    request = invoke_request()
    SigV4Auth(Credentials(KEY_ID, SECRET, "token"), "bedrock-agentcore", "us-east-1").add_auth(request)
    check(head_of(request), body_of(request))
    stripped = replace(head_of(request), headers={**head_of(request).headers, "x-amz-security-token": "other"})
    with pytest.raises(BadSignature):
        check(stripped, body_of(request))


def test_wrong_secret_is_refused() -> None:
    request = signed(invoke_request())
    with pytest.raises(BadSignature, match="secret access key"):
        check(head_of(request), body_of(request), secret=SECRET[:-1])


def test_another_keys_secret_is_refused() -> None:
    request = signed(invoke_request(), key_id="AKIAOTHER", secret="other")
    with pytest.raises(BadSignature):
        check(head_of(request), body_of(request))


def test_altered_body_is_refused() -> None:
    request = signed(invoke_request())
    with pytest.raises(BadSignature):
        check(head_of(request), body_of(request) + b" ")


@pytest.mark.parametrize("name", ["host", "content-type", "x-amz-date", SESSION_HEADER])
def test_altered_signed_headers_are_refused(name: str) -> None:
    request = signed(invoke_request())
    head = head_of(request)
    altered = replace(head, headers={**head.headers, name: head.headers[name].replace("a", "b").replace("0", "1") + "1"})
    with pytest.raises((BadSignature, MissingAuthentication)):
        check(altered, body_of(request))


@pytest.mark.parametrize(
    "change", [{"method": "PUT"}, {"path": "/code-interpreters/mine/tools/invoke"}, {"query": "sessionId=b"}, {"query": "a"}]
)
def test_altered_method_path_and_query_are_refused(change: dict[str, str]) -> None:
    request = signed(invoke_request())
    with pytest.raises(BadSignature):
        check(replace(head_of(request), **change), body_of(request))


def test_missing_signed_header_is_named() -> None:
    request = signed(invoke_request())
    with pytest.raises(BadSignature, match=SESSION_HEADER):
        check(with_headers(head_of(request), drop=[SESSION_HEADER]), body_of(request))


@pytest.mark.parametrize("added", [SESSION_HEADER, "x-amz-security-token"])
def test_headers_added_after_signing_are_not_trusted(added: str) -> None:
    request = signed(serialized("ListCodeInterpreters", {}))
    head = head_of(request)
    with pytest.raises(BadSignature, match=f"must be signed: {added}"):
        check(replace(head, headers={**head.headers, added: "abc"}), b"")


def test_host_is_always_signed() -> None:
    request = signed(serialized("ListCodeInterpreters", {}))
    head = head_of(request)
    authorization = head.headers["authorization"].replace("host;", "")
    with pytest.raises(BadSignature, match="must be signed: host"):
        check(with_headers(head, authorization=authorization), b"")


def test_headers_that_clients_leave_unsigned_may_change_on_the_way() -> None:
    request = signed(invoke_request())
    head = with_headers(head_of(request), user_agent="proxy", traceparent="p", x_amzn_trace_id="t", amz_sdk_invocation_id="i")
    check(head, body_of(request))


@pytest.mark.parametrize("offset", [CLOCK_TOLERANCE - timedelta(seconds=2), timedelta(seconds=2) - CLOCK_TOLERANCE])
def test_clocks_may_differ_by_fifteen_minutes(offset: timedelta) -> None:
    request = signed(invoke_request())
    check(head_of(request), body_of(request), now=utc_now() + offset)


@pytest.mark.parametrize("offset", [CLOCK_TOLERANCE + timedelta(seconds=2), -CLOCK_TOLERANCE - timedelta(seconds=2)])
def test_stale_and_early_requests_are_refused_before_the_body_is_read(offset: timedelta) -> None:
    head = head_of(signed(invoke_request()))
    with pytest.raises(BadSignature, match="clock"):
        read_authorization(head, utc_now() + offset)


@pytest.mark.parametrize("service", ["s3", "bedrock", "bedrock-agentcore-control"])
def test_signatures_for_other_services_are_refused_before_the_body_is_read(service: str) -> None:
    with pytest.raises(BadSignature, match="sign for the service bedrock-agentcore"):
        read_authorization(head_of(signed(invoke_request(), service=service)), utc_now())


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer token",
        "AWS4-HMAC-SHA256",
        "AWS4-ECDSA-P256-SHA256 Credential=A/20260101/us-east-1/s/aws4_request, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/aws4_request, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s/aws4_request, SignedHeaders=, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s/aws4_request, SignedHeaders=host, Signature=" + "0" * 63,
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/s/aws4_request, SignedHeaders=host, Signature=" + "0" * 65,
    ],
)
def test_other_forms_of_authorization_are_refused(value: str) -> None:
    head = with_headers(head_of(signed(invoke_request())), authorization=value)
    with pytest.raises(MissingAuthentication):
        read_authorization(head, utc_now())


def test_unsigned_requests_are_refused() -> None:
    with pytest.raises(MissingAuthentication, match="not signed"):
        read_authorization(head_of(invoke_request()), utc_now())


def test_presigned_urls_are_refused_by_name() -> None:
    request = AWSRequest(method="GET", url=f"{ENDPOINT}/code-interpreters/aws.codeinterpreter.v1")
    SigV4QueryAuth(Credentials(KEY_ID, SECRET), "bedrock-agentcore", "us-west-2").add_auth(request)
    with pytest.raises(MissingAuthentication, match="presigned"):
        read_authorization(head_of(request), utc_now())


@pytest.mark.parametrize("date", ["", "2026-01-01T00:00:00Z", "20260101", "20261301T000000Z"])
def test_times_that_are_none_are_refused(date: str) -> None:
    head = with_headers(head_of(signed(invoke_request())), x_amz_date=date)
    with pytest.raises((MissingAuthentication, BadSignature)):
        read_authorization(head, utc_now())


def test_day_of_the_scope_is_the_day_of_the_time() -> None:
    head = head_of(signed(invoke_request()))
    authorization = head.headers["authorization"].replace(f"/{utc_now():%Y%m%d}/", "/20200101/")
    with pytest.raises(BadSignature, match="scope"):
        read_authorization(with_headers(head, authorization=authorization), utc_now())


def test_signed_body_digest_is_honoured() -> None:
    request = invoke_request()
    request.headers["X-Amz-Content-SHA256"] = body_digest(body_of(request))
    signed(request)
    check(head_of(request), body_of(request))
    with pytest.raises(BadSignature, match="x-amz-content-sha256"):
        check(head_of(request), b"{}")


@pytest.mark.parametrize("value", ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"])
def test_unsigned_bodies_are_refused_before_the_body_is_read(value: str) -> None:
    request = invoke_request()
    request.headers["X-Amz-Content-SHA256"] = value
    with pytest.raises(BadSignature, match="unsigned and streamed"):
        read_authorization(head_of(signed(request)), utc_now())


def test_a_digest_header_that_is_not_signed_does_not_stand_for_the_body() -> None:
    request = signed(invoke_request())
    head = with_headers(head_of(request), x_amz_content_sha256=body_digest(body_of(request)))
    check(head, body_of(request))
    with pytest.raises(BadSignature):
        check(head, b"{}")


def test_a_replaced_secret_is_not_remembered() -> None:
    request = signed(invoke_request())
    check(head_of(request), body_of(request))
    with pytest.raises(BadSignature):
        check(head_of(request), body_of(request), secret="replaced")


def test_now_may_be_in_any_zone() -> None:
    request = signed(invoke_request())
    check(head_of(request), body_of(request), now=datetime.now().astimezone().astimezone(UTC))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("InvokeCodeInterpreter", INVOKE),
        ("GetCodeInterpreterSession", {"codeInterpreterIdentifier": "mine", "sessionId": "a b&c=d+e/ü"}),
        ("StopCodeInterpreterSession", {"codeInterpreterIdentifier": "an odd/name", "sessionId": "abc"}),
    ],
)
def test_our_own_clients_sign_as_botocore_does(name: str, parameters: dict[str, object]) -> None:
    request = serialized(name, parameters)
    head = head_of(request)
    headers = sign(head, key_id=KEY_ID, secret=SECRET, region="eu-west-1", body_sha256=body_digest(body_of(request)))
    judge = SigV4Auth(Credentials(KEY_ID, SECRET), "bedrock-agentcore", "eu-west-1")
    unsigned = {key: value for key, value in headers.items() if key not in ("authorization", "host")}
    again = AWSRequest(head.method, f"{ENDPOINT}{head.path}{'?' * bool(head.query)}{head.query}", unsigned, body_of(request))
    again.context["timestamp"] = headers["x-amz-date"]
    wanted = judge.signature(judge.string_to_sign(again, judge.canonical_request(again)), again)
    assert headers["authorization"].endswith(f"Signature={wanted}")
