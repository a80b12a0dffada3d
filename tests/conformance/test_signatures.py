"""Who is let in: signatures that are missing, wrong, stale or of another request, and the codes that AWS has for them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from conformance.raw_http import Answer, send, signed
from running_server import BUILT_IN, REGION, RunningServer, ServedSession, refused

LIST = "/code-interpreters"
LIST_SESSIONS = f"/code-interpreters/{BUILT_IN}/sessions/list"
INVOKE = f"/code-interpreters/{BUILT_IN}/tools/invoke"


def signed_at(server: RunningServer, time: datetime) -> dict[str, str]:
    """The headers of a request that was signed then."""
    request = AWSRequest("POST", server.url + LIST)
    stamp = request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ")
    request.headers["X-Amz-Date"] = stamp
    signer = SigV4Auth(Credentials(server.key_id, server.secret), "bedrock-agentcore", REGION)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    scope = f"{server.key_id}/{stamp[:8]}/{REGION}/bedrock-agentcore/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    return {"X-Amz-Date": stamp, "Authorization": authorization}


def post(server: RunningServer, headers: dict[str, str], path: str = LIST, body: bytes = b"") -> Answer:
    return send(server, "POST", path, body, headers=headers, sign=False)


def test_unknown_key_is_unrecognized(server: RunningServer) -> None:
    error = refused(server.client("bedrock-agentcore-control", key_id="AKIAAAAAAAAAAAAAAAAA").list_code_interpreters)
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("UnrecognizedClientException", 403)


def test_wrong_secret_is_an_invalid_signature(server: RunningServer) -> None:
    error = refused(server.client("bedrock-agentcore-control", secret="x" * 40).list_code_interpreters)
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("InvalidSignatureException", 403)


def test_messages_never_hold_a_secret(server: RunningServer) -> None:
    error = refused(server.client("bedrock-agentcore-control", secret="s3cr3t" * 6).list_code_interpreters)
    assert "s3cr3t" not in str(error)
    assert server.secret not in str(error)


def test_unsigned_request_lacks_its_token(server: RunningServer) -> None:
    answer = post(server, {})
    assert (answer.status, answer.code) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize("value", ["Bearer abc", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a/b, Signature=c", ""])
def test_authorization_of_another_form_is_refused(server: RunningServer, value: str) -> None:
    answer = post(server, signed(server, "POST", LIST) | {"Authorization": value})
    assert (answer.status, answer.code) == (403, "MissingAuthenticationTokenException")


def test_altered_body_is_an_invalid_signature(server: RunningServer) -> None:
    headers = signed(server, "POST", LIST_SESSIONS, b'{"maxResults":1}')
    answer = post(server, headers, LIST_SESSIONS, b'{"maxResults":2}')
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")


def test_body_whose_declared_digest_is_another_s_is_refused(server: RunningServer) -> None:
    digest = hashlib.sha256(b'{"maxResults":1}').hexdigest()
    headers = signed(server, "POST", LIST_SESSIONS, b'{"maxResults":1}', headers={"X-Amz-Content-SHA256": digest})
    assert post(server, headers, LIST_SESSIONS, b'{"maxResults":2}').code == "InvalidSignatureException"


@pytest.mark.parametrize("altered", ["/code-interpreters?maxResults=1", f"/code-interpreters/{BUILT_IN}/sessions/list"])
def test_altered_path_or_query_is_an_invalid_signature(server: RunningServer, altered: str) -> None:
    assert post(server, signed(server, "POST", LIST), altered).code == "InvalidSignatureException"


def test_altered_method_is_an_invalid_signature(server: RunningServer) -> None:
    headers = signed(server, "GET", f"{LIST}/{BUILT_IN}")
    assert send(server, "DELETE", f"{LIST}/{BUILT_IN}", headers=headers, sign=False).code == "InvalidSignatureException"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_clock_more_than_15_minutes_off_is_an_invalid_signature(server: RunningServer, minutes: int) -> None:
    answer = post(server, signed_at(server, datetime.now(UTC) + timedelta(minutes=minutes)))
    assert (answer.status, answer.code) == (403, "InvalidSignatureException")
    assert "15 minutes" in answer.json["message"]


@pytest.mark.parametrize("minutes", [-14, 14])
def test_clock_less_than_15_minutes_off_is_accepted(server: RunningServer, minutes: int) -> None:
    assert post(server, signed_at(server, datetime.now(UTC) + timedelta(minutes=minutes))).status == 200


def test_signature_for_another_service_is_refused(server: RunningServer) -> None:
    request = AWSRequest("POST", server.url + LIST)
    SigV4Auth(Credentials(server.key_id, server.secret), "s3", REGION).add_auth(request)
    assert post(server, dict(request.headers.items())).code == "InvalidSignatureException"


def test_session_that_the_client_did_not_sign_is_not_believed(server: RunningServer, session: ServedSession) -> None:
    body = b'{"name":"listFiles","arguments":{}}'
    headers = signed(server, "POST", INVOKE, body) | {"x-amzn-code-interpreter-session-id": session.id}
    assert post(server, headers, INVOKE, body).code == "InvalidSignatureException"


def test_presigned_query_is_refused(server: RunningServer) -> None:
    answer = post(server, {}, f"{LIST}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b")
    assert (answer.status, answer.code) == (403, "MissingAuthenticationTokenException")


def test_signature_is_checked_before_the_members(server: RunningServer) -> None:
    headers = signed(server, "POST", LIST_SESSIONS, b"not json", secret="x" * 40)
    assert post(server, headers, LIST_SESSIONS, b"not json").code == "InvalidSignatureException"
