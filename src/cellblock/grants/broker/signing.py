"""Both signatures of a request: the session's, which ends at the broker, and the role's, which S3 checks. botocore makes each."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from hashlib import sha256

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials, ReadOnlyCredentials

from cellblock.grants.broker.refusals import Refused, denied, shown
from cellblock.grants.broker.requests import Incoming, Target

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +"
    r"Credential=(?P<key_id>[A-Za-z0-9]{1,128})/(?P<day>[0-9]{8})/(?P<region>[a-z0-9-]{1,64})/s3/aws4_request, *"
    r"SignedHeaders=(?P<headers>[a-z0-9_.-]+(?:;[a-z0-9_.-]+)*), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_PAYLOAD = re.compile(r"[0-9a-f]{64}|UNSIGNED-PAYLOAD|STREAMING-(UNSIGNED-PAYLOAD-TRAILER|AWS4-HMAC-SHA256-PAYLOAD(-TRAILER)?)")
_EMPTY = sha256(b"").hexdigest()
_SIGNED = ("host", "content-md5", "content-type")


def key_id_of(incoming: Incoming) -> str:
    """The access key that the request says it is signed with."""
    return _parsed(incoming)["key_id"]


def verify(incoming: Incoming, credentials: ReadOnlyCredentials) -> None:
    """Raises Refused unless the request is signed with these credentials."""
    found = _parsed(incoming)
    timestamp = incoming.headers.get("x-amz-date", "")
    if not _TIMESTAMP.fullmatch(timestamp) or not timestamp.startswith(found["day"]):
        raise denied("x-amz-date is missing or is not the day of the signature")
    names = found["headers"].split(";")
    if "host" not in names or any(name not in incoming.headers for name in names):
        raise denied("the signature must cover the Host header, and signed headers must arrive")
    if not hmac.compare_digest(incoming.headers.get("x-amz-security-token", ""), credentials.token or ""):
        raise Refused(403, "InvalidToken", "the x-amz-security-token is not the one that came with the access key")
    signer = _Signer(credentials, found["region"], names)
    headers = {name: incoming.headers[name] for name in names} | {"x-amz-content-sha256": payload_of(incoming.headers)}
    request = AWSRequest(method=incoming.method, url=_url_as_sent(incoming), headers=headers)
    request.context["timestamp"] = timestamp
    canonical = signer.canonical_request(request)
    if not hmac.compare_digest(signer.signature(signer.string_to_sign(request, canonical), request), found["signature"]):
        raise Refused(403, "SignatureDoesNotMatch", "the signature is not by the session's credentials over this request")


def payload_of(headers: Mapping[str, str]) -> str:
    """What the signature says of the body. Raises Refused."""
    value = headers.get("x-amz-content-sha256", _EMPTY)
    if not _PAYLOAD.fullmatch(value):
        raise Refused(501, "NotImplemented", f"x-amz-content-sha256: {shown(value)} is no way to sign a body that is known here")
    return value


def sign(
    method: str, target: Target, headers: Mapping[str, str], *, url: str, credentials: ReadOnlyCredentials, region: str
) -> dict[str, str]:
    """The headers with a signature by the role's credentials; the body is signed as the session has signed it."""
    kept = {name: value for name, value in headers.items() if name != "x-amz-content-sha256"}
    request = AWSRequest(method=method, url=url + target.path_and_query, headers=kept)
    request.context["payload"] = payload_of(headers)
    signed = [name for name in kept if name in _SIGNED or name.startswith("x-amz-")]
    _Signer(credentials, region, [*signed, "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "host"]).add_auth(request)
    return {name.lower(): str(value) for name, value in request.headers.items()}


class _Signer(S3SigV4Auth):
    """botocore's, over the headers that are named and a body that somebody else has hashed."""

    def __init__(self, credentials: ReadOnlyCredentials, region: str, names: list[str]) -> None:
        super().__init__(Credentials(credentials.access_key or "", credentials.secret_key or "", credentials.token), "s3", region)
        self._names = set(names)

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        """botocore: what the signature covers."""
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            if name.lower() in self._names:
                headers[name.lower()] = value
        return headers

    def payload(self, request: AWSRequest) -> str:
        """botocore: the body's digest."""
        return str(request.context["payload"])


def _parsed(incoming: Incoming) -> dict[str, str]:
    value = incoming.headers.get("authorization")
    if value is None:
        raise denied("requests from a session are signed with the credentials of its role; this one is not signed")
    found = _AUTHORIZATION.fullmatch(value)
    if found is None:
        raise denied("the Authorization header must be one of AWS signature version 4 for s3")
    return found.groupdict()


def _url_as_sent(incoming: Incoming) -> str:
    return f"http://host{incoming.target}" if incoming.target.startswith("/") else incoming.target
