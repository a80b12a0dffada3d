"""The hop to a node, against nodes that are slow, broken or hostile, and requests that would hide in others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from cellblock.cluster.forwarding import CutOff, Forwarder, Outgoing, answer_headers, is_plain, request_head
from cellblock.cluster.hop import HEAD_BYTES, HELD_BYTES, Answer, NodeLost
from cellblock.cluster.hops import Hops
from cellblock.http.body import ClientGone

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def node(serve: Serve) -> AsyncIterator[str]:
    """A node that does what the test says."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Client:
    """One request's two ends: what it sends, and what it has been sent."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces) or [b""]
        self.sent: list[Any] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Any:
        if self._pieces:
            body = self._pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._pieces)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def passed(
    url: str, client: Client, hops: Hops, *, headers: list[tuple[bytes, bytes]] | None = None, is_chunked: bool = False
) -> int:
    head = request_head("POST", b"/x?y=1", headers or [(b"host", b"client.example")])
    outgoing = Outgoing(node_id="n", url=url, head=head, is_chunked=is_chunked, is_short=True)
    async with asyncio.timeout(20):
        return await Forwarder(hops).stream(outgoing, client.receive, client.send)


async def test_request_arrives_as_it_was_sent_but_for_what_belongs_to_the_connection() -> None:
    arrived = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await arrived.put(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    sent = [
        (b"host", b"client.example:80"),
        (b"connection", b"keep-alive, x-mine"),
        (b"x-mine", b"1"),
        (b"te", b"trailers"),
        (b"expect", b"100-continue"),
        (b"upgrade", b"h2c"),
        (b"authorization", b"AWS4-HMAC-SHA256 a, b"),
        (b"x-amz-date", b"  now "),
    ]
    async with node(serve) as url:
        hops = Hops()
        assert await passed(url, Client(), hops, headers=sent) == 200
        hops.close()
    head = await arrived.get()
    assert head == (
        b"POST /x?y=1 HTTP/1.1\r\nhost: client.example:80\r\nauthorization: AWS4-HMAC-SHA256 a, b\r\nx-amz-date:   now \r\n\r\n"
    )


async def test_chunks_are_framed_anew() -> None:
    arrived = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await arrived.put(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)

    async with node(serve) as url:
        hops = Hops()
        chunked = [(b"host", b"h"), (b"transfer-encoding", b"chunked")]
        await passed(url, Client(b"abc", b"", b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"), hops, headers=chunked, is_chunked=True)
        hops.close()
    body = (await arrived.get()).partition(b"\r\n\r\n")[2]
    assert body == b"3\r\nabc\r\n17\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n"[: len(body)]


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity", b"chunked, chunked", b"xchunked"])
def test_other_transfer_codings_are_not_passed_on(coding: bytes) -> None:
    assert is_plain([(b"transfer-encoding", b"chunked")])
    assert not is_plain([(b"transfer-encoding", coding)])
    assert not is_plain([(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")])


async def test_second_answer_to_one_request_reaches_nobody() -> None:
    """A node that could be made to answer twice would give the next client somebody else's answer."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")

    async with node(serve) as url:
        hops = Hops()
        for _ in range(2):
            client = Client()
            await passed(url, client, hops)
            assert client.body == b"ok"
        hops.close()
    assert connections == 2, "the connection is not used again"


BROKEN = {
    "no HTTP": b"not http\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\nx: " + b"y" * (HEAD_BYTES + 1),
    "nothing": b"",
    "another protocol": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_broken_answer_is_a_lost_node(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with node(serve) as url:
        client, hops = Client(), Hops()
        with pytest.raises(NodeLost):
            await passed(url, client, hops)
        assert client.sent == []


async def test_answer_that_breaks_off_is_cut_off_for_the_client() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        writer.close()

    async with node(serve) as url:
        client = Client()
        with pytest.raises(CutOff):
            await passed(url, client, Hops())
        assert client.sent[-1].get("more_body") is not False


async def test_lost_node_ends_the_requests_that_wait_for_it() -> None:
    waiting = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        waiting.set()
        await reader.read()

    async with node(serve) as url:
        hops = Hops()
        call = asyncio.ensure_future(passed(url, Client(), hops))
        await waiting.wait()
        hops.drop("n", "it was lost")
        with pytest.raises(NodeLost, match="it was lost"):
            await call


async def test_client_that_goes_away_is_gone_for_the_node_too() -> None:
    waiting, is_over = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        waiting.set()
        with suppress(ConnectionError):
            await reader.read()
        is_over.set()

    async with node(serve) as url:
        client, hops = Client(), Hops()
        call = asyncio.ensure_future(passed(url, client, hops))
        await waiting.wait()
        client.gone.set()
        with pytest.raises(ClientGone):
            await call
        async with asyncio.timeout(10):
            await is_over.wait()


async def test_slow_reader_holds_the_node_back_and_not_the_front_ends_memory() -> None:
    size, written = 64 * 1024 * 1024, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while written < size:
            writer.write(bytes(65536))
            await writer.drain()
            written += 65536

    taken, goes_on = 0, asyncio.Event()

    class Slow(Client):
        async def send(self, message: Any) -> None:
            nonlocal taken
            taken += len(message.get("body", b""))
            await goes_on.wait()

    async with node(serve) as url:
        call = asyncio.ensure_future(passed(url, Slow(), Hops()))
        before = -1
        while before != written:  # until it stands still
            before = written
            await asyncio.to_thread(bool)
            async with asyncio.timeout(5):
                for _ in range(200):
                    await asyncio.to_thread(bool)
        assert written < 16 * 1024 * 1024 + HELD_BYTES  # what the kernel holds, and a little
        goes_on.set()
        assert await call == 200
        assert taken == size


def test_headers_of_one_connection_stay_behind_in_answers_too() -> None:
    answer = Answer(status=200, headers=[(b"date", b"d"), (b"connection", b"close, x-own"), (b"x-own", b"1"), (b"etag", b"e")])
    assert answer_headers(answer) == [(b"etag", b"e")]
