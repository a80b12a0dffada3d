"""Whatever a client sends, the proxy either knows where it wants to go or lets it go."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellblock.sandbox.proxy.handshake import HEAD_BYTES, NotUnderstood, Wanted, read_wanted

ENDS = (NotUnderstood, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
TARGETS = st.one_of(
    st.text(max_size=60), st.sampled_from(["[::1", "a:b:c", "a:99999", "http://[v1.x]/", "http://a%00b/", "//", "http://\u2100/"])
)


class Heard:
    """What a client would be sent."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


async def read(data: bytes) -> Wanted:
    reader = asyncio.StreamReader(limit=HEAD_BYTES)
    reader.feed_data(data)
    reader.feed_eof()
    return await read_wanted(reader, cast("asyncio.StreamWriter", Heard()))


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda rest: b"\x05\x01\x00\x05\x01\x00" + rest)))
@example(b"\x05\x01\x00\x05\x01\x00\x03\x03a\x00b\x00\x50")
@example(b"\x05\x01\x00\x05\x01\x00\x04" + bytes(18))
def test_any_bytes_are_a_wish_or_an_end(data: bytes) -> None:
    try:
        wanted = asyncio.run(read(data))
    except ENDS:
        return
    assert 0 <= wanted.port < 65536


@settings(max_examples=150, deadline=None)
@given(method=st.sampled_from(["CONNECT", "GET", "POST", ""]), target=TARGETS, fields=st.lists(st.text(max_size=30), max_size=4))
def test_any_request_line_is_a_wish_or_an_end(method: str, target: str, fields: list[str]) -> None:
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode("utf-8", "replace")
    try:
        wanted = asyncio.run(read(head))
    except ENDS:
        return
    assert wanted.host
    assert 0 <= wanted.port < 65536
    assert wanted.first.count(b"\r\n\r\n") == (0 if method == "CONNECT" else 1)


@pytest.mark.parametrize("name", ["Connection: keep-alive", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA=="])
def test_fields_for_the_proxy_end_at_the_proxy(name: str) -> None:
    wanted = asyncio.run(read(f"GET http://a.example/p?q HTTP/1.1\r\nHost: a.example\r\n{name}\r\n\r\n".encode()))
    assert wanted.first == b"GET /p?q HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
