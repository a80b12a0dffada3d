"""Signature version 4, in botocore's canonical form, checked in two steps: before the body is read and after."""

from __future__ import annotations

import hmac
import re
from collections.abc import Container
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cellblock.errors import BadSignature, MissingAuthentication
from cellblock.wire.head import Head
from cellblock.wire.operations import SESSION_HEADER
from cellblock.wire.sigv4 import PAYLOAD_HEADER, SCOPE_END, SERVICE, UNSIGNED, Authorization, signature, string_to_sign

CLOCK_TOLERANCE = timedelta(minutes=15)

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +"
    r"Credential=(?P<key_id>[A-Za-z0-9_-]{1,128})/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]{1,64})/(?P<service>[^/, ]+)/(?P<end>[^/, ]+), *"
    r"SignedHeaders=(?P<headers>[a-z0-9_.-]+(?:;[a-z0-9_.-]+)*), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ALWAYS_SIGNED = ("host", "x-amz-date")
# Never believed unless signed. A trace's headers and amz-sdk-invocation-id are not here because botocore leaves them unsigned.
_SIGNED_IF_SENT = ("x-amz-security-token", SESSION_HEADER)


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
    to_sign = string_to_sign(head, authorization, body_sha256)
    if not any(hmac.compare_digest(signature(authorization, secret, to_sign), authorization.signature) for secret in secrets):
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
    if (found["service"], found["end"]) != (SERVICE, SCOPE_END):
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
