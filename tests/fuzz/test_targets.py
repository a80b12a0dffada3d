"""Every target of the fuzzer, for some hundred inputs; `make fuzz` goes on for as long as one likes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cellblock.errors import CellEnded
from cellblock.model.calls import RemoveFiles, RunCommand, ToolFailed
from cellblock_cell.kernel import is_result
from cellblock_cell.link import Frame, Kind, Meta
from forged_agent import linked
from fuzz.targets import TARGETS

INPUTS = st.binary(max_size=600)
RUN = RunCommand(command="true", timeout_seconds=5, output_bytes=1000)
SECONDS = 10
bounded = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@bounded
@given(data=INPUTS)
def test_any_bytes_are_borne(target: Callable[[bytes], None], data: bytes) -> None:
    target(data)


async def outcome(data: bytes) -> list[str]:
    """What the event loop had to complain about when an agent sent these bytes."""
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
    async with linked() as (link, agent), asyncio.timeout(SECONDS):
        await agent.say(Kind.HELLO, 0, {})
        await link.wait_ready(SECONDS)
        calling = asyncio.ensure_future(link.call(RemoveFiles(("a",))))
        await agent.hear(Kind.CALL)
        await agent.send(data)
        agent.close()
        with suppress(ToolFailed, CellEnded):
            await calling
    return complaints


async def test_a_result_nested_nearly_too_deep_ends_its_cell_only() -> None:
    for depth in range(900, 1000):
        meta = b'{"removed":0,"failed":[],"missing":[' + b"[" * depth + b"]" * depth + b"]}"
        frame = b"\x01\x05\x00\x00" + (1).to_bytes(4, "big") + len(meta).to_bytes(4, "big") + bytes(4) + meta
        assert await outcome(frame) == []


@bounded
@given(meta=st.dictionaries(st.sampled_from(["exit_code", "x"]), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
@example(meta={"exit_code": True})
def test_what_ends_a_run_has_a_number_for_an_exit_code(meta: Meta) -> None:
    if is_result(Frame(Kind.RESULT, 1, meta)):
        assert 0 <= int(str(meta["exit_code"])) <= 255
