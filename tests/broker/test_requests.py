"""What the broker lets through and what not, request by request; each refusal is of something that would leave the granted buckets."""

from __future__ import annotations

import pytest

from cellblock.grants.broker.headers import forwarded
from cellblock.grants.broker.refusals import Refused
from cellblock.grants.broker.requests import Incoming, Reach, Target, read_head, read_target

OWN = "127.0.0.1:700"
S3 = "s3.example.com"
REACH = Reach(
    role_arn="arn:aws:iam::000000000000:role/R",
    buckets=("mine", "team-*"),
    read_only=False,
    hosts=(OWN, "localhost:700", f"{S3}:443", S3),
)


def read(method: str, target: str, *, host: str = OWN, reach: Reach = REACH) -> Target | None:
    return read_target(Incoming(method=method, target=target, headers={"host": host}), reach)


def refused(method: str, target: str, *, host: str = OWN, reach: Reach = REACH) -> Refused:
    with pytest.raises(Refused) as caught:
        read(method, target, host=host, reach=reach)
    return caught.value


@pytest.mark.parametrize(
    ("method", "target", "host", "path"),
    [
        ("GET", "/mine/key", OWN, "/mine/key"),
        ("GET", "/mine/a/b%20c", OWN, "/mine/a/b%20c"),
        ("GET", "/mine//leading", OWN, "/mine//leading"),
        ("GET", "/mine/%E2%82%AC", "localhost:700", "/mine/%E2%82%AC"),
        ("PUT", "/team-7/key?partNumber=1&uploadId=u", OWN, "/team-7/key?partNumber=1&uploadId=u"),
        ("GET", "/mine?list-type=2&prefix=a%2Fb", OWN, "/mine?list-type=2&prefix=a%2Fb"),
        ("GET", "/mine/?list-type=2", OWN, "/mine?list-type=2"),
        ("GET", "/key", f"mine.{S3}", "/mine/key"),
        ("GET", "/?list-type=2", f"mine.{S3}", "/mine?list-type=2"),
        ("GET", f"http://mine.{S3}/key", f"mine.{S3}", "/mine/key"),
        ("GET", f"http://{S3}/mine/key", S3, "/mine/key"),
        ("GET", "/mine/..hidden/a..b/...", OWN, "/mine/..hidden/a..b/..."),
    ],
)
def test_granted_bucket_is_reached_in_path_and_in_virtual_hosted_style(method: str, target: str, host: str, path: str) -> None:
    found = read(method, target, host=host)
    assert found is not None
    assert found.path_and_query == path


def test_what_goes_on_is_written_anew() -> None:
    """%6D and m are one letter, %2F and a slash one key: who checks and who serves must not read them differently."""
    found = read("GET", "/mine/%6Dy%2Fkey")
    assert found is not None
    assert found.path == "/mine/my/key"


@pytest.mark.parametrize(
    "target",
    [
        "/foreign/key",
        "/foreign",
        "/MINE/key",
        "/Mine/key",
        "/mine2/key",
        "/tea/key",
        "/team/key",
        "//foreign/key",
        "//mine/key",
        "/%6Dine/key",
        "/mine%2F..%2Fforeign/key",
        "/mine%00/key",
        "/mine\\foreign/key",
        "/../foreign/key",
        "/./mine/key",
        "/%2e%2e/foreign/key",
        "/arn:aws:s3:us-east-1:123456789012:accesspoint/x/key",
    ],
)
def test_only_the_plain_name_of_a_granted_bucket_is_one(target: str) -> None:
    assert refused("GET", target).code in ("AccessDenied", "InvalidBucketName")


@pytest.mark.parametrize(
    "key",
    [
        "../foreign/key",
        "a/../../foreign/key",
        "%2e%2e/foreign/key",
        "%2E./foreign",
        "%252e%252e/foreign",
        "..%2fforeign",
        "..%5cforeign",
        "a/%2e%2e%2f%2e%2e%2fforeign",
        "a/./b",
        "..",
        "%25252525252e",
    ],
)
@pytest.mark.parametrize("style", ["path", "host"])
def test_no_spelling_of_dots_leads_out_of_the_bucket(key: str, style: str) -> None:
    target, host = (f"/mine/{key}", OWN) if style == "path" else (f"/{key}", f"mine.{S3}")
    assert "'..'" in refused("GET", target, host=host).reason


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/mine/key", "example.com"),
        ("/key", "foreign.s3.example.com"),
        ("/mine/key", "169.254.169.254"),
        ("/mine/key", "localhost:80"),
        ("/mine/key", ""),
        ("/mine/key", f"evil.com#{OWN}"),
        ("/mine/key", f"user@{OWN}"),
        ("/mine/key", f"x{S3}"),
        ("http://example.com/mine/key", "example.com"),
        ("http://example.com/mine/key", OWN),
        (f"http://{S3}/mine/key", OWN),
        (f"http://{OWN}/mine/key", S3),
        (f"http://user@{S3}/mine/key", S3),
        (f"https://{S3}/mine/key", S3),
        ("ftp://x/mine/key", "x"),
        ("*", OWN),
        ("mine/key", OWN),
        ("/mine/key#/../foreign", OWN),
    ],
)
def test_no_other_host_is_reached_by_the_host_header_or_the_request_line(target: str, host: str) -> None:
    assert refused("GET", target, host=host).status in (400, 403)


def test_tunnel_is_refused_because_it_would_hide_the_bucket() -> None:
    refusal = refused("CONNECT", f"{S3}:443", host=f"{S3}:443")
    assert (refusal.status, "tunnels" in refusal.reason) == (405, True)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/mine"),
        ("DELETE", "/mine"),
        ("PUT", "/mine?policy"),
        ("PUT", "/mine?replication"),
        ("PUT", "/mine?website"),
        ("PUT", "/mine?acl"),
        ("GET", "/mine?policy"),
        ("GET", "/mine?inventory"),
        ("POST", "/mine"),
        ("POST", "/mine/key"),
        ("POST", "/mine/key?restore"),
        ("POST", "/mine/key?select&select-type=2"),
        ("PUT", "/mine/key?acl"),
        ("PUT", "/mine/key?retention"),
        ("GET", "/mine/key?torrent"),
        ("PATCH", "/mine/key"),
        ("OPTIONS", "/mine/key"),
        ("TRACE", "/mine/key"),
        ("PUT", "/"),
        ("GET", "/?policy"),
    ],
)
def test_what_is_not_the_data_of_objects_is_refused(method: str, target: str) -> None:
    assert refused(method, target).status in (400, 403)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA&X-Amz-Signature=00",
        "x-amz-signature=00",
        "AWSAccessKeyId=AKIA&Signature=x&Expires=9",
        "%58-Amz-Signature=00",
    ],
)
def test_presigned_urls_of_others_are_no_way_out(query: str) -> None:
    assert "presigned" in refused("GET", f"/mine/key?{query}").reason


def test_part_of_the_query_comes_once() -> None:
    assert "more than once" in refused("GET", "/mine/key?versionId=1&versionId=2").reason


def test_read_only_role_reads_and_lists_and_does_nothing_else() -> None:
    reach = Reach(role_arn=REACH.role_arn, buckets=("mine",), read_only=True, hosts=REACH.hosts)
    assert read("GET", "/mine/key", reach=reach)
    assert read("HEAD", "/mine/key", reach=reach)
    for method, target in [("PUT", "/mine/key"), ("DELETE", "/mine/key"), ("POST", "/mine/key?uploads"), ("POST", "/mine?delete")]:
        assert "may read only" in refused(method, target, reach=reach).reason


def test_list_of_buckets_is_not_asked_of_s3() -> None:
    assert read("GET", "/") is None
    assert read("GET", "/?x-id=ListBuckets") is None


@pytest.mark.parametrize(
    ("source", "goes_on"),
    [
        ("/mine/key", "/mine/key"),
        ("team-1/a/b", "/team-1/a/b"),
        ("mine%2Fkey", "/mine/key"),
        ("/mine/k%20y?versionId=v1", "/mine/k%20y?versionId=v1"),
    ],
)
def test_copy_takes_its_data_from_granted_buckets(source: str, goes_on: str) -> None:
    assert forwarded({"x-amz-copy-source": source}, REACH) == {"x-amz-copy-source": goes_on}


@pytest.mark.parametrize(
    "source",
    [
        "/foreign/key",
        "foreign/key",
        "foreign%2Fkey",
        "%66oreign/key",
        "//foreign/key",
        "/mine/../foreign/key",
        "mine%2F..%2Fforeign%2Fkey",
        "mine/%252e%252e/foreign/key",
        "arn:aws:s3:us-east-1:1:accesspoint/x/object/key",
        "/mine",
        "/mine/",
        "",
    ],
)
def test_copy_takes_nothing_from_others(source: str) -> None:
    with pytest.raises(Refused):
        forwarded({"x-amz-copy-source": source}, REACH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-acl", "public-read"),
        ("x-amz-grant-read", 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'),
        ("x-amz-website-redirect-location", "http://example.com"),
        ("x-amz-bypass-governance-retention", "true"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-unheard-of", "1"),
    ],
)
def test_header_that_would_open_an_object_or_is_not_known_is_refused(name: str, value: str) -> None:
    with pytest.raises(Refused, match=name):
        forwarded({name: value}, REACH)


def test_headers_of_this_hop_do_not_go_on() -> None:
    sent = {"host": OWN, "authorization": "x", "connection": "close", "proxy-authorization": "x", "expect": "100-continue", "cookie": "c"}
    sent |= {"x-forwarded-for": "1.2.3.4", "x-amz-security-token": "t", "x-amz-date": "d", "upgrade": "h2c", "te": "trailers"}
    assert forwarded(sent | {"content-type": "text/plain", "x-amz-meta-a": "1"}, REACH) == {
        "content-type": "text/plain",
        "x-amz-meta-a": "1",
    }


def test_header_comes_once() -> None:
    with pytest.raises(Refused, match="more than once"):
        read_head("GET", "/mine/key", [(b"Host", OWN.encode()), (b"host", b"example.com")])
