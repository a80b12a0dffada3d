"""Reads a request's body within its limit, and keeps only so many large ones in memory."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from cellblock.errors import BodyTooLarge, ValidationFailed
from cellblock.http.exchange import ClientGone, Receive, exchange_of

LARGE_BYTES = 1024 * 1024
READ_SECONDS = 120.0  # what a body may lag behind the least rate; a slow client must not hold a place among the large bodies
LEAST_BYTES_A_SECOND = 64 * 1024


class Place:
    """A place among the large bodies, taken when the body turns out to be large."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._is_taken = False

    async def take(self) -> None:
        """Wait for a place, once."""
        if not self._is_taken:
            await self._places.acquire()
            self._is_taken = True

    def leave(self) -> None:
        """Let the next one in."""
        if self._is_taken:
            self._is_taken = False
            self._places.release()


@dataclass(frozen=True, slots=True)
class Body:
    """A body and its SHA-256, as signatures have it."""

    data: bytes | memoryview
    digest: str


class Bodies:
    """Reads bodies; the large ones wait for one of `max_large` places."""

    def __init__(self, max_large: int) -> None:
        self._places = asyncio.Semaphore(max_large)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A request's place, to be kept until nothing of its body is in memory."""
        place = Place(self._places)
        try:
            yield place
        finally:
            place.leave()

    async def read_hashed(self, receive: Receive, place: Place, *, declared_length: str | None, limit_bytes: int) -> Body:
        """The body, hashed while the client sends it. Raises BodyTooLarge, ValidationFailed, ClientGone."""
        length = _declared(declared_length, limit_bytes)
        if length <= LARGE_BYTES:
            data = await self.read(receive, place, declared_length=declared_length, limit_bytes=limit_bytes)
            return Body(data, sha256(data).hexdigest())
        room: mmap.mmap | None = None  # until there is a place: what is only declared, perhaps by many, costs nothing
        digest, size = sha256(), 0
        async for piece in pieces(receive):
            await place.take()
            end = size + len(piece)
            if end > length:
                raise ValidationFailed("the body is longer than its Content-Length header says", reason="CannotParse")
            room = room or _room(length)
            room[size:end] = piece
            digest.update(piece)
            size = end
        return Body(memoryview(room or b"")[:size], digest.hexdigest())

    async def read(self, receive: Receive, place: Place, *, declared_length: str | None, limit_bytes: int) -> bytes:
        """The body. Raises BodyTooLarge, ValidationFailed, ClientGone."""
        length = _declared(declared_length, limit_bytes)
        exchange = exchange_of(receive)
        if exchange is not None and (body := exchange.take_body()) is not None:
            return await self._kept(body, place, limit_bytes)
        parts: list[bytes] = []
        size = 0
        async for piece in pieces(receive):
            size += len(piece)
            if size > limit_bytes:
                raise BodyTooLarge(limit_bytes)
            parts.append(piece)
            if max(size, length) > LARGE_BYTES:
                await place.take()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _kept(self, body: bytes, place: Place, limit_bytes: int) -> bytes:
        if len(body) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        if len(body) > LARGE_BYTES:
            await place.take()
        return body


def _declared(length: str | None, limit_bytes: int) -> int:
    declared = 0 if length is None else length_of(length)
    if declared > limit_bytes:
        raise BodyTooLarge(limit_bytes)
    return declared


def _room(length: int) -> mmap.mmap:
    """Memory that is taken as it is filled, in huge pages where there are some: small ones cost more than all copies of a large body."""
    room = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        room.madvise(mmap.MADV_HUGEPAGE)
    return room


def length_of(declared: str) -> int:
    """The Content-Length header's number. Raises ValidationFailed."""
    if not declared.isdecimal() or len(declared) > 18:
        raise ValidationFailed("the Content-Length header is not a number", reason="CannotParse")
    return int(declared)


async def pieces(receive: Receive) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises ClientGone, and ValidationFailed for a client that is too slow."""
    loop, patience_seconds = asyncio.get_running_loop(), READ_SECONDS
    while True:
        asked_at = loop.time()  # the wait for a place is not the client's
        try:
            async with asyncio.timeout(patience_seconds):
                message = await receive()
        except TimeoutError as error:
            problem = f"the body came more than {READ_SECONDS:g} seconds later than at {LEAST_BYTES_A_SECOND} bytes a second"
            raise ValidationFailed(problem, reason="CannotParse") from error
        earned_seconds = len(message.get("body", b"")) / LEAST_BYTES_A_SECOND
        patience_seconds = min(READ_SECONDS, patience_seconds + earned_seconds - (loop.time() - asked_at))
        if message["type"] == "http.disconnect":
            raise ClientGone
        if piece := message.get("body", b""):
            yield piece
        if not message.get("more_body", False):
            return
