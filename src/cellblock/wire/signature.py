"""Signature version 4, in botocore's canonical form, checked in two steps: before the body is read and after."""

from __future__ import annotations

import hmac
import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from cellblock.errors import BadSignature, MissingAuthentication
from cellblock.wire.head import Head
from cellblock.wire.operations import SESSION_HEADER

SERVICE = "bedrock-agentcore"
CLOCK_TOLERANCE = timedelta(minutes=15)
UNSIGNED = "UNSIGNED-PAYLOAD"  # as S3 has it: for a body that is not held in memory on either side
PAYLOAD_HEADER = "x-amz-content-sha256"

_SIGNING_KEYS_KEPT = 1024
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +"
    r"Credential=(?P<key_id>[A-Za-z0-9_-]{1,128})/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]{1,64})/(?P<service>[^/, ]+)/(?P<end>[^/, ]+), *"
    r"SignedHeaders=(?P<headers>[a-z0-9_.-]+(?:;[a-z0-9_.-]+)*), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")  # its canonical form is itself: nothing to encode, no segment of dots
_ALWAYS_SIGNED = ("host", "x-amz-date")
# Never believed unless signed. A trace's headers and amz-sdk-invocation-id are not here because botocore leaves them unsigned.
_SIGNED_IF_SENT = ("x-amz-security-token", SESSION_HEADER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Who says to have signed a request, for where and when; nothing of it is proven until `verify`."""

    key_id: str
    region: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str


def read_authorization(head: Head, now: datetime, *, payloads: Container[str] = ()) -> Authorization:
    """All that can be checked before the body is read: form, scope, clock, and that what is relied on is signed.

    `payloads` is what may stand for the body's digest beside a digest.
    """
    authorization = _parsed(head)
    _check_clock(authorization.timestamp, now)
    _check_signed_headers(head, authorization)
    if head.headers.get(PAYLOAD_HEADER) not in payloads:
        _check_payload_header(head)
    return authorization


def verify(head: Head, authorization: Authorization, *, secrets: tuple[str, ...], body_sha256: str) -> None:
    """Raises BadSignature unless the owner of one of the secrets signed exactly this request and body."""
    declared = _signed_payload(head, authorization)
    if declared is not None and not hmac.compare_digest(declared, body_sha256):
        raise BadSignature("the x-amz-content-sha256 header is not the SHA-256 of the body that arrived")
    _check_signature(head, authorization, secrets, body_sha256)


def prove_streamed(head: Head, authorization: Authorization, *, secrets: tuple[str, ...]) -> str | None:
    """Prove a request whose body is still to come: what the body's SHA-256 must be, None when the client left it unsigned."""
    declared = _signed_payload(head, authorization)
    if declared is None and head.method != "GET":
        raise BadSignature(f"the {PAYLOAD_HEADER} header must be sent and signed: the body's SHA-256, or {UNSIGNED}")
    digest = declared or body_digest(b"")
    _check_signature(head, authorization, secrets, digest)
    return None if digest == UNSIGNED else digest


def body_digest(body: bytes) -> str:
    """The SHA-256 of a body, as signatures have it."""
    return sha256(body).hexdigest()


def _signed_payload(head: Head, authorization: Authorization) -> str | None:
    return head.headers.get(PAYLOAD_HEADER) if PAYLOAD_HEADER in authorization.signed_headers else None


def _check_signature(head: Head, authorization: Authorization, secrets: tuple[str, ...], body_sha256: str) -> None:
    to_sign = _string_to_sign(head, authorization, body_sha256)
    if not any(hmac.compare_digest(_signature(authorization, secret, to_sign), authorization.signature) for secret in secrets):
        raise BadSignature(
            "the signature does not match this request: check the secret access key, and that nothing on the way changes the path, "
            "the signed headers (host among them) or the body"
        )


def _parsed(head: Head) -> Authorization:
    value = head.headers.get("authorization")
    if value is None:
        if "X-Amz-Signature" in head.query or "X-Amz-Credential" in head.query:
            raise MissingAuthentication("presigned URLs are not accepted: sign the request in its Authorization header")
        raise MissingAuthentication("the request is not signed: sign it with AWS signature version 4; `cellblock env` prints the settings")
    found = _AUTHORIZATION.fullmatch(value)
    if found is None:
        raise MissingAuthentication("the Authorization header must be: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…")
    timestamp = head.headers.get("x-amz-date", "")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise MissingAuthentication("the x-amz-date header is missing or not of the form 20260131T235959Z")
    if (found["service"], found["end"]) != (SERVICE, "aws4_request"):
        raise BadSignature(f"the credential's scope must end in /{SERVICE}/aws4_request: sign for the service {SERVICE}")
    if found["day"] != timestamp[:8]:
        raise BadSignature("the day in the credential's scope is not the day of x-amz-date")
    return Authorization(
        key_id=found["key_id"],
        region=found["region"],
        timestamp=timestamp,
        signed_headers=tuple(found["headers"].split(";")),
        signature=found["signature"],
    )


def _check_clock(timestamp: str, now: datetime) -> None:
    try:
        signed_at = datetime.fromisoformat(timestamp)
    except ValueError as error:
        raise BadSignature(f"x-amz-date {timestamp} is not a time") from error
    if abs(now - signed_at) > CLOCK_TOLERANCE:
        raise BadSignature(
            f"the request was signed at {timestamp} and it is {now.astimezone(UTC):%Y%m%dT%H%M%SZ} here: the clocks may differ by "
            f"{CLOCK_TOLERANCE.seconds // 60} minutes; set the client's clock"
        )


def _check_signed_headers(head: Head, authorization: Authorization) -> None:
    signed = set(authorization.signed_headers)
    if len(signed) != len(authorization.signed_headers) or "authorization" in signed:
        raise BadSignature("SignedHeaders names a header twice, or the Authorization header itself")
    if absent := sorted(signed - head.headers.keys()):
        raise BadSignature(f"signed headers did not arrive: {', '.join(absent)[:200]}")
    wanted = _ALWAYS_SIGNED + tuple(name for name in _SIGNED_IF_SENT if name in head.headers)
    if unsigned := [name for name in wanted if name not in signed]:
        raise BadSignature(f"headers must be signed: {', '.join(unsigned)}")


def _check_payload_header(head: Head) -> None:
    declared = head.headers.get(PAYLOAD_HEADER)
    if declared is not None and not _DIGEST.fullmatch(declared):
        raise BadSignature("x-amz-content-sha256 must be the body's SHA-256 in hexadecimal; unsigned and streamed bodies are not accepted")


def _string_to_sign(head: Head, authorization: Authorization, body_sha256: str) -> bytes:
    canonical = _canonical(head, authorization, body_sha256)
    day = authorization.timestamp[:8]
    scope = f"{day}/{authorization.region}/{SERVICE}/aws4_request"
    return "\n".join(("AWS4-HMAC-SHA256", authorization.timestamp, scope, sha256(canonical.encode()).hexdigest())).encode()


def _signature(authorization: Authorization, secret: str, to_sign: bytes) -> str:
    key = _signing_key(authorization.key_id, secret, authorization.timestamp[:8], authorization.region)
    return hmac.digest(key, to_sign, "sha256").hex()


def _canonical(head: Head, authorization: Authorization, body_sha256: str) -> str:
    """The canonical request. What every call looks like is put together here; what needs encoding or an order, by botocore."""
    if head.query or not _PLAIN_PATH.fullmatch(head.path):
        return str(_CANON.canonical_request(_signed_part(head, authorization, body_sha256)))
    names = sorted(authorization.signed_headers)
    headers = [f"{name}:{' '.join(head.headers[name].split())}" for name in names]
    payload = head.headers[PAYLOAD_HEADER] if PAYLOAD_HEADER in names else body_sha256
    return "\n".join((head.method, head.path, "", *headers, "", ";".join(names), payload))


def _signed_part(head: Head, authorization: Authorization, body_sha256: str) -> AWSRequest:
    query = f"?{head.query}" if head.query else ""
    request = AWSRequest(
        method=head.method,
        url=f"http://host{head.path}{query}",
        headers={name: head.headers[name] for name in authorization.signed_headers},
    )
    request.context["body_sha256"] = body_sha256
    return request


class _Canon(SigV4Auth):
    """botocore's canonical request, over the headers that the client named and a body that was hashed before."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["body_sha256"])


_CANON = _Canon(Credentials("", ""), SERVICE, "")


@lru_cache(maxsize=_SIGNING_KEYS_KEPT)
def _signing_key(key_id: str, secret: str, day: str, region: str) -> bytes:
    del key_id  # part of what the kept keys are found by, so that two keys never share an entry
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        key = hmac.new(key, part.encode(), sha256).digest()
    return key
