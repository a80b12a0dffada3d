"""The headers that go on to S3: a list of those that are known, since one that is not might grant or reach something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cellblock.grants.broker.refusals import denied
from cellblock.grants.broker.requests import Reach, copy_source

_PLAIN = {
    *("accept", "accept-encoding", "cache-control", "content-disposition", "content-encoding", "content-language", "content-length"),
    *("content-md5", "content-type", "expires", "if-match", "if-modified-since", "if-none-match", "if-unmodified-since", "range"),
    *("transfer-encoding", "user-agent"),
}
_AMAZON = {
    *("content-sha256", "checksum-mode", "checksum-algorithm", "checksum-type", "sdk-checksum-algorithm", "trailer", "tagging"),
    *("decoded-content-length", "metadata-directive", "tagging-directive", "storage-class", "expected-bucket-owner", "mp-object-size"),
    *("source-expected-bucket-owner", "object-attributes", "max-parts", "part-number-marker", "copy-source-range"),
    *("copy-source-if-match", "copy-source-if-modified-since", "copy-source-if-none-match", "copy-source-if-unmodified-since"),
}
_AMAZON_BEGINNINGS = ("meta-", "checksum-", "server-side-encryption", "copy-source-server-side-encryption")
_OWN = {"date", "security-token", "user-agent", "api-version", "te"}  # of the signature that ends here, or of the SDK
_ACCESS = {"private", "bucket-owner-read", "bucket-owner-full-control"}
_STAYS = {"connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


def forwarded(headers: Mapping[str, str], reach: Reach) -> dict[str, str]:
    """Without what is of this hop only. Raises Refused for what S3 would take for more than the data of granted buckets."""
    kept = {name: value for name, value in headers.items() if name in _PLAIN}
    for name, value in headers.items():
        if name.startswith("x-amz-"):
            kept |= _amazon(name, value, reach)
    return kept


def returned(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Those of an answer, without what is of the other hop only."""
    return [(name, value) for name, value in headers if name.decode("latin-1").lower() not in _STAYS]


def _amazon(name: str, value: str, reach: Reach) -> dict[str, str]:
    short = name.removeprefix("x-amz-")
    if short in _OWN:
        return {}
    if short == "copy-source":
        return {name: copy_source(value, reach)}
    if short in _AMAZON or short.startswith(_AMAZON_BEGINNINGS) or (short == "acl" and value in _ACCESS):
        return {name: value}
    raise denied(f"the header {name} is not sent on from a session")
