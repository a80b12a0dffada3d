"""Signature version 4 in botocore's canonical form: what is signed, by which key, and a client's signature."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from cellblock.wire.head import Head

SERVICE = "bedrock-agentcore"
ALGORITHM, SCOPE_END = "AWS4-HMAC-SHA256", "aws4_request"
UNSIGNED = "UNSIGNED-PAYLOAD"  # as S3 has it: for a body that is not held in memory on either side
PAYLOAD_HEADER = "x-amz-content-sha256"
DATE_HEADER = "x-amz-date"

_KEYS_KEPT = 1024
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")  # its canonical form is itself: nothing to encode, no segment of dots


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Who says to have signed a request, for where and when; by itself it proves nothing."""

    key_id: str
    region: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str = ""

    @property
    def scope(self) -> str:
        """What the key is good for."""
        return f"{self.timestamp[:8]}/{self.region}/{SERVICE}/{SCOPE_END}"


def sign(head: Head, *, key_id: str, secret: str, region: str, body_sha256: str) -> dict[str, str]:
    """The headers of the head, which are all signed and must have `host`, and those that prove it."""
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    dated = Head(method=head.method, path=head.path, query=head.query, headers={**head.headers, DATE_HEADER: timestamp})
    names = tuple(sorted(dated.headers))
    authorization = Authorization(key_id=key_id, region=region, timestamp=timestamp, signed_headers=names)
    proof = signature(authorization, secret, string_to_sign(dated, authorization, body_sha256))
    said = f"{ALGORITHM} Credential={key_id}/{authorization.scope}, SignedHeaders={';'.join(names)}, Signature={proof}"
    return {**dated.headers, "authorization": said}


def string_to_sign(head: Head, authorization: Authorization, body_sha256: str) -> bytes:
    """What the signature is of."""
    canonical = sha256(_canonical(head, authorization.signed_headers, body_sha256).encode()).hexdigest()
    return "\n".join((ALGORITHM, authorization.timestamp, authorization.scope, canonical)).encode()


def signature(authorization: Authorization, secret: str, to_sign: bytes) -> str:
    """By the owner of the secret, in hexadecimal."""
    key = _signing_key(authorization.key_id, secret, authorization.timestamp[:8], authorization.region)
    return hmac.digest(key, to_sign, "sha256").hex()


def _canonical(head: Head, signed_headers: tuple[str, ...], body_sha256: str) -> str:
    """The canonical request. What every call looks like is put together here; what needs encoding or an order, by botocore."""
    if head.query or not _PLAIN_PATH.fullmatch(head.path):
        return str(_CANON.canonical_request(_signed_part(head, signed_headers, body_sha256)))
    names = sorted(signed_headers)
    headers = [f"{name}:{' '.join(head.headers[name].split())}" for name in names]
    payload = head.headers[PAYLOAD_HEADER] if PAYLOAD_HEADER in names else body_sha256
    return "\n".join((head.method, head.path, "", *headers, "", ";".join(names), payload))


def _signed_part(head: Head, signed_headers: tuple[str, ...], body_sha256: str) -> AWSRequest:
    query = f"?{head.query}" if head.query else ""
    headers: Mapping[str, str] = {name: head.headers[name] for name in signed_headers}
    request = AWSRequest(method=head.method, url=f"http://host{head.path}{query}", headers=headers)
    request.context["body_sha256"] = body_sha256
    return request


class _Canon(SigV4Auth):
    """botocore's canonical request, over the headers that the client named and a body that was hashed before."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["body_sha256"])


_CANON = _Canon(Credentials("", ""), SERVICE, "")


@lru_cache(maxsize=_KEYS_KEPT)
def _signing_key(key_id: str, secret: str, day: str, region: str) -> bytes:
    del key_id  # part of what the kept keys are found by, so that two keys never share an entry
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, SCOPE_END):
        key = hmac.new(key, part.encode(), sha256).digest()
    return key
