"""Bodies in aws-chunked: what comes out, however the bytes are cut, and what is no such body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellblock.grants.broker.chunks import NotChunked, Unchunker, is_chunked, plain
from cellblock.grants.broker.refusals import Refused

CODED = b"5;chunk-signature=00\r\nhello\r\n6\r\n world\r\n0;chunk-signature=11\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.lists(st.integers(min_value=1, max_value=40), max_size=20))
def test_pieces_come_out_whole_however_the_bytes_are_cut(pieces: list[bytes], cuts: list[int]) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    unchunker, out, at = Unchunker(), b"", 0
    for cut in [*cuts, len(coded)]:
        out += unchunker.feed(coded[at : at + cut])
        at += cut
    assert out == b"".join(pieces)
    assert unchunker.is_over


def test_signatures_and_trailer_are_left_out() -> None:
    unchunker = Unchunker()
    assert unchunker.feed(CODED) == b"hello world"
    assert unchunker.is_over


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"4\r\nhello\r\n",
        b"fffffffff\r\n",
        b"\r\n",
        b"a" * 2000,
        CODED + b"GET / HTTP/1.1\r\n",
        b"0\r\n" + b"name:value\r\n" * 1000,
    ],
)
def test_what_is_no_such_body_is_refused(body: bytes) -> None:
    with pytest.raises(NotChunked):
        Unchunker().feed(body + b"\n" * 2000)


def test_head_says_the_length_of_the_plain_body() -> None:
    headers = {"content-encoding": "gzip, aws-chunked", "x-amz-decoded-content-length": "11", "x-amz-trailer": "x-amz-checksum-crc32"}
    headers |= {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "content-length": "99", "content-type": "a/b"}
    assert is_chunked(headers)
    expected = {"content-type": "a/b", "content-encoding": "gzip", "content-length": "11", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    assert plain(headers) == expected


@pytest.mark.parametrize("length", ["", "-1", "x", "9" * 40, "١"])
def test_length_of_the_plain_body_is_a_number(length: str) -> None:
    with pytest.raises(Refused):
        plain({"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": length})
