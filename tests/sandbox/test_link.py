"""A forged agent at the other end of the link: whatever it sends ends its own cell with a reason and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellblock.errors import CellDied, CellEnded, HostIsFull, HostNotReady
from cellblock.model.calls import (
    Call,
    FileToWrite,
    GetTask,
    ListFiles,
    ReadFiles,
    RemoveFiles,
    RunCommand,
    StartTask,
    StopTask,
    ToolFailed,
    WriteFiles,
)
from cellblock.nodes.link import CellLink
from cellblock_cell.link import BODY_LIMIT_BYTES, META_LIMIT_BYTES, Frame, Kind, encode
from forged_agent import ForgedAgent, linked

Linked = tuple[CellLink, ForgedAgent]
SECONDS = 10
RUN = RunCommand(command="true", timeout_seconds=5, output_bytes=1000)
CALLS: list[Call[Any]] = [
    RUN,
    StartTask(command="true", output_bytes=1000),
    GetTask("0"),
    StopTask("0"),
    WriteFiles((FileToWrite("a", b"x"),)),
    ReadFiles(paths=("a", "b"), limit_bytes=1000),
    ListFiles(""),
    RemoveFiles(("a",)),
]
DONE = {"exit_code": 0, "seconds": 0.1, "dropped_bytes": 0, "outcome": "done", "note": ""}


def header(*, version: int = 1, kind: int = 5, reserved: int = 0, call: int = 1, meta: int = 0, body: int = 0) -> bytes:
    return struct.pack(">BBHIII", version, kind, reserved, call, meta, body)


def framed(kind: Kind, meta: bytes, *, call: int = 1) -> bytes:
    return header(kind=kind, call=call, meta=len(meta)) + meta


BROKEN_FRAMES = {
    "garbage": b"GET / HTTP/1.1\r\n\r\n" * 10,
    "an unknown version": header(version=2),
    "reserved bits": header(reserved=1),
    "an unknown kind": header(kind=7),
    "kind zero": header(kind=0),
    "a meta over the limit": header(meta=META_LIMIT_BYTES + 1),
    "a body over the limit": header(body=BODY_LIMIT_BYTES + 1),
    "four gigabytes": header(meta=2**32 - 1, body=2**32 - 1),
    "a meta that is not JSON": framed(Kind.RESULT, b"{"),
    "a meta that is a list": framed(Kind.RESULT, b"[]"),
    "a meta that is not UTF-8": framed(Kind.RESULT, b'{"a": "\xff"}'),
    "a deep meta": framed(Kind.RESULT, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a number of a million digits": framed(Kind.RESULT, b'{"exit_code":' + b"1" * 1_000_000 + b"}"),
    "a call to the host": framed(Kind.CALL, b'{"tool":"run_command"}'),
    "an end of uploads": framed(Kind.END, b""),
    "an interrupt": framed(Kind.CANCEL, b""),
}
BROKEN_RESULTS: dict[str, tuple[Call[Any], dict[str, Any]]] = {
    "nothing": (RUN, {}),
    "a text for a number": (RUN, DONE | {"exit_code": "0"}),
    "a truth value for a number": (RUN, DONE | {"exit_code": True}),
    "a number out of range": (RUN, DONE | {"dropped_bytes": -1}),
    "a huge number": (RUN, DONE | {"exit_code": 2**60}),
    "no number": (RUN, DONE | {"seconds": float("nan")}),
    "endless time": (RUN, DONE | {"seconds": float("inf")}),
    "an unknown outcome": (RUN, DONE | {"outcome": "won"}),
    "a list for an outcome": (RUN, DONE | {"outcome": ["done"]}),
    "an object for a text": (RUN, DONE | {"note": {}}),
    "a text for an error": (RUN, {"error": "broken"}),
    "an error without a kind": (RUN, {"error": {"message": "broken"}}),
    "a task without an id": (StartTask(command="true", output_bytes=1), {"task_id": None}),
    "an unknown status": (GetTask("0"), {"status": "asleep", "exit_code": None, "seconds": 0, "dropped_bytes": 0}),
    "a file too many": (ReadFiles(paths=("a",), limit_bytes=1), {"files": [{}, {}]}),
    "a file that is no object": (ReadFiles(paths=("a",), limit_bytes=1), {"files": [1]}),
    "an unknown fault": (ReadFiles(paths=("a",), limit_bytes=1), {"files": [{"error": "odd", "size": 0, "message": ""}]}),
    "failures that are no list": (RemoveFiles(("a",)), {"removed": 0, "missing": [], "failed": {}}),
}
BROKEN_DATA: dict[str, tuple[Call[Any], dict[str, Any], bytes]] = {
    "an unknown stream": (RUN, {"stream": "stdin"}, b"x"),
    "a list for a stream": (RUN, {"stream": ["stdout"]}, b"x"),
    "an image of an unknown kind": (RUN, {"image": 0, "mimeType": "text/html"}, b"x"),
    "an image without a number": (RUN, {"image": "0", "mimeType": "image/png"}, b"x"),
    "data of nothing": (RUN, {}, b"x"),
    "a file with a negative number": (ReadFiles(paths=("a",), limit_bytes=9), {"file": -1}, b"x"),
    "more than was asked for": (ReadFiles(paths=("a",), limit_bytes=9), {"file": 0}, b"0123456789"),
    "entries that are no list": (ListFiles(""), {"entries": "a"}, b""),
    "an entry that is no object": (ListFiles(""), {"entries": [1]}, b""),
    "an entry without a size": (ListFiles(""), {"entries": [{"name": "a", "kind": "file"}]}, b""),
    "an entry of an unknown kind": (ListFiles(""), {"entries": [{"name": "a", "kind": "door", "size": 0}]}, b""),
    "a body with entries": (ListFiles(""), {"entries": []}, b"x"),
}


@pytest.fixture
async def pair() -> AsyncIterator[Linked]:
    """A cell that has said HELLO."""
    async with linked() as (link, agent):
        await agent.say(Kind.HELLO, 0, {"version": 1, "pid": 1})
        await link.wait_ready(SECONDS)
        yield link, agent


@pytest.fixture
async def silent() -> AsyncIterator[Linked]:
    """A cell that has not."""
    async with linked() as made:
        yield made


async def ends(pair: Linked, call: Call[Any], data: bytes) -> str:
    """The reason for which the call ended after these bytes; the owner is told the same, once."""
    link, agent = pair
    async with asyncio.timeout(SECONDS):
        calling = asyncio.ensure_future(link.call(call))
        await agent.hear(Kind.CALL)
        await agent.send(data)
        with pytest.raises(CellEnded) as ended:
            await calling
        assert await agent.lost in str(ended.value)
    assert agent.lost_times == 1
    return str(ended.value)


@pytest.mark.parametrize("data", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES)
async def test_a_broken_frame_ends_the_cell_with_a_reason(pair: Linked, data: bytes) -> None:
    assert "protocol" in await ends(pair, RUN, data)


@pytest.mark.parametrize(("call", "meta"), BROKEN_RESULTS.values(), ids=BROKEN_RESULTS)
async def test_a_broken_result_ends_the_cell_with_a_reason(pair: Linked, call: Call[Any], meta: dict[str, Any]) -> None:
    assert "protocol" in await ends(pair, call, framed(Kind.RESULT, json.dumps(meta).encode()))


@pytest.mark.parametrize(("call", "meta", "body"), BROKEN_DATA.values(), ids=BROKEN_DATA)
async def test_broken_data_ends_the_cell_with_a_reason(pair: Linked, call: Call[Any], meta: dict[str, Any], body: bytes) -> None:
    assert "protocol" in await ends(pair, call, encode(Frame(Kind.DATA, 1, meta, body)))


async def test_a_call_after_the_end_names_the_same_reason(pair: Linked) -> None:
    reason = await ends(pair, RUN, BROKEN_FRAMES["garbage"])
    with pytest.raises(CellEnded, match="protocol") as again:
        await pair[0].call(RUN)
    assert str(again.value) == reason


async def test_every_call_under_way_ends_when_the_agent_hangs_up(pair: Linked) -> None:
    link, agent = pair
    calling = [asyncio.ensure_future(link.call(RUN)) for _ in range(3)]
    await agent.hear(Kind.CALL)
    agent.close()
    async with asyncio.timeout(SECONDS):
        found = await asyncio.gather(*calling, return_exceptions=True)
    assert [type(error) for error in found] == [CellEnded] * 3


async def test_an_answer_to_no_call_is_passed_over(pair: Linked) -> None:
    link, agent = pair
    async with asyncio.timeout(SECONDS):
        calling = asyncio.ensure_future(link.call(RUN))
        await agent.hear(Kind.CALL)
        await agent.say(Kind.RESULT, 4_000_000_000, {})
        await agent.say(Kind.DATA, 77, {"stream": "stdout"}, b"of nobody")
        await agent.say(Kind.RESULT, 1, DONE)
        assert (await calling).stdout == b""


async def test_a_second_result_is_passed_over(pair: Linked) -> None:
    link, agent = pair
    async with asyncio.timeout(SECONDS):
        for number in (1, 2):
            calling = asyncio.ensure_future(link.call(RUN))
            await agent.hear(Kind.CALL)
            await agent.send(2 * encode(Frame(Kind.RESULT, number, DONE | {"exit_code": number})))
            assert (await calling).exit_code == number
    assert not agent.lost.done()


async def test_output_over_its_bound_ends_the_cell(pair: Linked) -> None:
    flood = 12 * encode(Frame(Kind.DATA, 1, {"stream": "stdout"}, bytes(BODY_LIMIT_BYTES)))
    assert "more than" in await ends(pair, RUN, flood)


async def test_images_without_a_body_are_bounded_too(pair: Linked) -> None:
    frames = (Frame(Kind.DATA, 1, {"image": number, "mimeType": "image/png"}) for number in range(20_000))
    data = b"".join(map(encode, frames)) + framed(Kind.RESULT, json.dumps(DONE).encode())
    assert "protocol" in await ends(pair, RUN, data)


async def test_a_file_that_was_not_asked_for_ends_the_cell(pair: Linked) -> None:
    data = encode(Frame(Kind.DATA, 1, {"file": 5}, b"")) + framed(Kind.RESULT, b'{"files":[{"error":"","size":0,"message":""}]}')
    assert "protocol" in await ends(pair, ReadFiles(paths=("a",), limit_bytes=9), data)


async def test_a_name_that_no_file_can_have_ends_the_cell(pair: Linked) -> None:
    data = encode(Frame(Kind.DATA, 1, {"entries": [{"name": "n" * 60_000, "kind": "file", "size": 0}]})) + framed(Kind.RESULT, b"{}")
    assert "protocol" in await ends(pair, ListFiles(""), data)


@pytest.mark.parametrize("text", ["\\ud800", "a\\udfffb"])
async def test_text_that_is_no_unicode_does_not_reach_the_host(pair: Linked, text: str) -> None:
    link, agent = pair
    async with asyncio.timeout(SECONDS):
        calling = asyncio.ensure_future(link.call(RUN))
        await agent.hear(Kind.CALL)
        await agent.send(framed(Kind.RESULT, json.dumps(DONE | {"note": "@"}).replace("@", text).encode()))
        (await calling).note.encode()


@pytest.mark.parametrize(
    "data", [BROKEN_FRAMES["garbage"], b"", framed(Kind.RESULT, b'{"error": 1}', call=0)], ids=["garbage", "end", "odd"]
)
async def test_a_cell_that_ends_before_its_hello_has_died_and_the_host_is_not_blamed(silent: Linked, data: bytes) -> None:
    link, agent = silent
    starting = asyncio.ensure_future(link.wait_ready(SECONDS))
    await agent.send(data)
    agent.close()
    with pytest.raises(CellDied):
        await starting


async def test_the_step_that_failed_is_named(silent: Linked) -> None:
    link, agent = silent
    starting = asyncio.ensure_future(link.wait_ready(SECONDS))
    await agent.say(Kind.RESULT, 0, {"error": {"kind": "EACCES", "message": "fence_files: /absent"}})
    with pytest.raises(HostNotReady, match="fence_files: /absent"):
        await starting


async def test_a_step_that_found_something_used_up_says_that_the_host_is_full(silent: Linked) -> None:
    link, agent = silent
    starting = asyncio.ensure_future(link.wait_ready(SECONDS))
    await agent.say(Kind.RESULT, 0, {"error": {"kind": "ENOMEM", "message": "mount_runtime: mount overlay"}})
    with pytest.raises(HostIsFull, match="mount_runtime"):
        await starting


async def test_a_cell_that_says_nothing_is_given_up(silent: Linked) -> None:
    with pytest.raises(HostIsFull, match="within"):
        await silent[0].wait_ready(0.05)


async def test_a_client_that_goes_away_interrupts_its_call(pair: Linked) -> None:
    link, agent = pair
    async with asyncio.timeout(SECONDS):
        calling = asyncio.ensure_future(link.call(RUN))
        await agent.hear(Kind.CALL)
        calling.cancel()
        assert (await agent.hear(Kind.CANCEL)).call == 1
        await agent.say(Kind.RESULT, 1, DONE | {"outcome": "canceled"})
        with pytest.raises(asyncio.CancelledError):
            await calling


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
names = st.sampled_from(
    [
        *("exit_code", "seconds", "dropped_bytes", "outcome", "note", "error", "kind", "message", "status", "task_id", "stopped", "count"),
        *("files", "path", "size", "missing", "failed", "removed", "entries", "name", "stream", "image", "mimeType", "file"),
    ]
)
words = st.sampled_from(["done", "killed", "working", "stdout", "image/png", "directory", "", "too_large"])
values = st.recursive(scalars | words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=8)
metas = st.dictionaries(names, values, max_size=8)


@settings(max_examples=150, deadline=None)
@given(call=st.sampled_from(CALLS), data=metas, result=metas, body=st.binary(max_size=30))
def test_any_answer_is_a_reply_a_failure_or_an_end(call: Call[Any], data: dict[str, Any], result: dict[str, Any], body: bytes) -> None:
    frames = framed_with(Kind.DATA, data, body) + framed_with(Kind.RESULT, result, b"")
    assert asyncio.run(_outcome(call, frames)) == []


@settings(max_examples=150, deadline=None)
@given(data=st.binary(min_size=1, max_size=200))
def test_any_bytes_are_borne(data: bytes) -> None:
    assert asyncio.run(_outcome(RUN, data)) == []


def framed_with(kind: Kind, meta: dict[str, Any], body: bytes) -> bytes:
    text = json.dumps(meta).encode()
    return header(kind=kind, meta=len(text), body=len(body)) + text + body


async def _outcome(call: Call[Any], data: bytes) -> list[str]:
    """What the event loop had to complain about; the call itself ends in one of the three ways."""
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
    async with linked() as (link, agent), asyncio.timeout(SECONDS):
        await agent.say(Kind.HELLO, 0, {})
        await link.wait_ready(SECONDS)
        calling = asyncio.ensure_future(link.call(call))
        await agent.hear(Kind.CALL)
        await agent.send(data)
        agent.close()
        with contextlib.suppress(ToolFailed, CellEnded):
            await calling
    return complaints
