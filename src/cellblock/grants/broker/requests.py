"""Reads what a cell asks of S3 into a bucket, a key and an operation, or refuses it.

Everything is taken apart, decoded once and written anew: what goes on has one meaning, whatever the server behind makes of odd spellings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import quote, unquote, unquote_to_bytes

from cellblock.grants.broker.refusals import Refused, denied, invalid, shown

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PARTS = re.compile(rb"[/\\]")
_SAFE = "-_.~"
_MOST_DECODINGS = 4
_TO_ALL = {"x-id"}  # SDKs name the operation in it
_LISTING = {
    *("list-type", "prefix", "delimiter", "max-keys", "marker", "continuation-token", "start-after", "encoding-type", "fetch-owner"),
    *("key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "versions", "uploads", "location"),
}
_RESPONSE = {
    f"response-{name}" for name in ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type")
}
_READING = {"versionId", "partNumber", "response-expires", *_RESPONSE}
_PARTS_LISTING = {"uploadId", "max-parts", "part-number-marker", "encoding-type"}
_OF_BUCKETS: dict[str, set[str]] = {"GET": _LISTING, "HEAD": set(), "POST": {"delete"}}
_OF_OBJECTS: dict[str, set[str]] = {
    "GET": {*_READING, *_PARTS_LISTING, "tagging", "attributes"},
    "HEAD": {*_READING},
    "PUT": {"partNumber", "uploadId", "versionId", "tagging"},
    "POST": {"uploads", "uploadId"},
    "DELETE": {"versionId", "uploadId", "tagging"},
}
_READ_ONLY = ("GET", "HEAD")
_PRESIGNED = {"x-amz-signature", "x-amz-credential", "signature", "awsaccesskeyid", "x-amz-algorithm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """The head of a request as it came; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a role may reach, and the names under which S3 is known in the session."""

    role_arn: str
    buckets: tuple[str, ...]
    read_only: bool
    hosts: tuple[str, ...]

    def require(self, bucket: str) -> None:
        """Raises Refused unless the bucket is granted."""
        if not _BUCKET.fullmatch(bucket):
            raise Refused(400, "InvalidBucketName", f"{shown(bucket)!r} is not the name of a bucket")
        if not any(fnmatchcase(bucket, pattern) for pattern in self.buckets):
            raise denied(f"the bucket {bucket} is not granted to {self.role_arn}; granted are {', '.join(self.buckets) or 'none'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bucket or an object in it, and what is asked of it."""

    bucket: str
    key: bytes
    query: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        """In path style, percent-encoded as signatures have it."""
        return f"/{self.bucket}/{quote(self.key, safe='/' + _SAFE)}" if self.key else f"/{self.bucket}"

    @property
    def path_and_query(self) -> str:
        """What the request line to S3 says."""
        if not self.query:
            return self.path
        return f"{self.path}?{'&'.join(f'{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}' for name, value in self.query)}"


def read_head(method: str, target: str, headers: Iterable[tuple[bytes, bytes]]) -> Incoming:
    """The head, when each header comes once: two of a kind may be read differently by whoever comes next."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("ascii").lower()
        if name in found:
            raise invalid(f"the header {shown(name)} comes more than once")
        found[name] = raw_value.decode("latin-1")
    return Incoming(method=method, target=target, headers=found)


def local_path(incoming: Incoming, hosts: tuple[str, ...]) -> tuple[str, str]:
    """The bucket that the host's name gives, empty in path style, and the path with its query. Raises Refused for any other host."""
    host, target = incoming.headers.get("host", ""), incoming.target
    if incoming.method == "CONNECT":
        raise Refused(
            405,
            "MethodNotAllowed",
            f"no tunnels: what is in one cannot be checked; use S3 by plain HTTP at http://{hosts[0]}, it goes on by TLS",
        )
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if scheme.lower() != "http" or not separator:
            raise invalid("the request line must have a path, or a URL that begins with http://")
        authority, slash, path = rest.partition("/")
        if authority.lower() != host.lower():
            raise invalid("the Host header and the URL of the request line name different hosts")
        target = slash + path or "/"
    if "#" in target:
        raise invalid("a request has no fragment")
    return _bucket_of_host(host.lower(), hosts), target


def read_target(incoming: Incoming, reach: Reach) -> Target | None:
    """What is asked for, None for the list of buckets. Raises Refused for all that the role may not reach."""
    bucket, target = local_path(incoming, reach.hosts)
    raw_path, _, raw_query = target.partition("?")
    raw_key = raw_path[1:]
    if not bucket:
        bucket, _, raw_key = raw_key.partition("/")
    query = _query(raw_query)
    if not bucket and not raw_key and incoming.method == "GET" and {name for name, _ in query} <= {*_TO_ALL, "max-buckets"}:
        return None
    reach.require(bucket)
    key = unquote_to_bytes(raw_key)
    if leads_elsewhere(key):
        raise invalid("a key with the part '.' or '..' may mean another object to some servers; rename the object")
    _check_operation(incoming.method, is_object=bool(key), names={name for name, _ in query}, reach=reach)
    return Target(bucket=bucket, key=key, query=query)


def leads_elsewhere(key: bytes) -> bool:
    """Whether somebody who decodes once more, or joins it to a directory, could leave the bucket by this key."""
    for _ in range(_MOST_DECODINGS):
        if any(part in (b".", b"..") for part in _PARTS.split(key)):
            return True
        decoded = unquote_to_bytes(key)
        if decoded == key:
            return False
        key = decoded
    return True


def copy_source(value: str, reach: Reach) -> str:
    """The object that a copy takes its data from, written anew. Raises Refused unless its bucket is granted too."""
    raw_path, _, raw_version = value.partition("?versionId=")
    bucket, _, key = unquote(raw_path, errors="surrogateescape").removeprefix("/").partition("/")
    reach.require(bucket)
    raw_key = key.encode(errors="surrogateescape")
    if not raw_key or leads_elsewhere(raw_key):
        raise invalid("x-amz-copy-source must be /bucket/key, without the parts '.' and '..'")
    version = f"?versionId={quote(unquote(raw_version), safe=_SAFE)}" if raw_version else ""
    return f"/{bucket}/{quote(raw_key, safe='/' + _SAFE)}{version}"


def _bucket_of_host(host: str, hosts: tuple[str, ...]) -> str:
    for name in hosts:
        if host == name:
            return ""
        if host.endswith(f".{name}"):
            return host.removesuffix(f".{name}")
    raise denied(f"{shown(host)!r} cannot be reached from this session: this way leads to S3 at http://{hosts[0]} only")


def _query(raw: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in raw.split("&") if part]
    query = tuple((unquote(name), unquote(value)) for name, _, value in pairs)
    names = [name for name, _ in query]
    if _PRESIGNED & {name.lower() for name in names}:
        raise denied("presigned URLs are not taken: sign the request in its Authorization header")
    if len(set(names)) != len(names):
        raise invalid("a part of the query comes more than once")
    return query


def _check_operation(method: str, *, is_object: bool, names: set[str], reach: Reach) -> None:
    """An allow-list: whoever could change a bucket's policy, website or replication would open it to the world."""
    allowed = (_OF_OBJECTS if is_object else _OF_BUCKETS).get(method)
    more = sorted(names - (allowed or set()) - _TO_ALL)
    if allowed is None or more or (method == "POST" and not names & allowed):
        what = f"{shown(method)} of {'an object' if is_object else 'a bucket'}"
        raise denied(
            f"{what}{' with ' + shown(', '.join(more)) if more else ''} is not done from a session: objects are read, written and listed"
        )
    if reach.read_only and method not in _READ_ONLY:
        raise denied(f"{reach.role_arn} may read only")
