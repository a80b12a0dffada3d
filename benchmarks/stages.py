"""Where the time of a call and of a start goes: each step measured alone, by calling what the server calls; the rows add up."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

import boto3
import uvloop
from _inside import Inside, inside, scope_of
from _measuring import MS, Report, Samples, command_line, progress
from _node import local_node
from _serving import INTERPRETER, REGION, Server, Session, server
from _wire_tap import RawConnection, Tap, Tapped, bare_server

from cellblock.model.calls import Cell, Run, RunCode
from cellblock.model.resources import Session as SessionRecord
from cellblock.model.resources import new_session_id, now
from cellblock.nodes.local import LocalCell
from cellblock.service import tool_results
from cellblock.service.first_key import ensure_first_key
from cellblock.sessions.interpreter_limits import cell_limits
from cellblock.settings.table import Settings
from cellblock.store.opening import open_store
from cellblock.wire import encoding, eventstream
from cellblock.wire.head import Head, read_head
from cellblock.wire.operations import Match, match
from cellblock.wire.signature import body_digest, read_authorization, verify
from cellblock.wire.validation import parse

CODE, RESULT = "1+1", "2"
STARTED = {"codeInterpreterIdentifier": INTERPRETER, "sessionId": new_session_id(), "createdAt": "2026-01-31T12:00:00Z"}
FIRST_LINE = "import pandas as pd; print(pd.DataFrame({'a': [1]}).shape)"
TIMEOUT_SECONDS = 60.0
WARM_UP = 10
EVENTS = "application/vnd.amazon.eventstream"
BATCH = 20  # calls for one sample of a step that takes microseconds

CLIENT, HTTP = "the client's own work (boto3)", "HTTP server and loopback"
HEAD, SIGNATURE, PARSING, STORE = "head and route", "signature", "parsing", "store"
LINK, KERNEL, RESULT = "link and agent", "the kernel runs the code", "result and event stream"
REST = "the rest of the application: tasks, limits, audit, log, its turn on a core"
LEFT = "no stage: the others wait for a core"
ORDER = (CLIENT, HTTP, HEAD, SIGNATURE, PARSING, STORE, LINK, KERNEL, RESULT, REST)


@dataclass(slots=True)
class Whole:
    """What a client waits for, what kernels and the server's log say of it, and the requests that it sent."""

    call: Samples = field(default_factory=Samples)
    start: Samples = field(default_factory=Samples)
    first: Samples = field(default_factory=Samples)
    kernel_call: Samples = field(default_factory=Samples)
    kernel_first: Samples = field(default_factory=Samples)
    told: dict[str, Samples] = field(default_factory=dict)
    sent: dict[str, Tapped] = field(default_factory=dict)


@dataclass(slots=True)
class Edges:
    """The same requests to a server with nothing behind it: by a stock client, and as bytes."""

    by_client: Samples = field(default_factory=Samples)
    by_bytes: Samples = field(default_factory=Samples)


@dataclass(slots=True)
class Steps:
    """The server's work for one request."""

    application: Samples = field(default_factory=Samples)
    head: Samples = field(default_factory=Samples)
    signature: Samples = field(default_factory=Samples)
    parse: Samples = field(default_factory=Samples)
    store: Samples = field(default_factory=Samples)
    link: Samples = field(default_factory=Samples)
    kernel: Samples = field(default_factory=Samples)
    result: Samples = field(default_factory=Samples)


@dataclass(slots=True)
class Inner:
    """The server's work for each kind of request; of the first call, only what differs from a later one."""

    start: Steps = field(default_factory=Steps)
    first: Steps = field(default_factory=Steps)
    call: Steps = field(default_factory=Steps)


def main() -> None:
    """Run it."""
    arguments = command_line(__doc__, count=(300, "calls of each step"), starts=(30, "starts of each step"), pool=(2, "cells that wait"))
    report = Report("stages")
    whole = measure_whole(arguments.count, arguments.starts, arguments.pool)
    with tempfile.TemporaryDirectory(prefix="cellblock-stages-") as directory:
        place = Path(directory)
        inner = uvloop.run(measure_inside(place, arguments.count, arguments.starts, arguments.pool))
        call_edge, start_edge = measure_edges(place, whole, arguments.count)
    uvloop.run(measure_opening(report, arguments.starts))
    inner.call.application, inner.call.kernel = whole.told["call"], whole.kernel_call
    inner.start.application = whole.told["start"]
    first_steps = replace(inner.call, application=whole.told["first"], link=inner.first.link, kernel=whole.kernel_first)
    call, first, start = stages(call_edge, inner.call), stages(call_edge, first_steps), stages(start_edge, inner.start)
    share = add(report, "call", whole.call.p50, call)
    report.note("of a call, no stage explains", f"{share:.1f} %")
    both = {name: start.get(name, 0.0) + first.get(name, 0.0) for name in ORDER if name in start or name in first}
    add(report, "start and first pandas result", whole.start.p50 + whole.first.p50, both)
    report.judge("stages-unexplained", abs(share))
    report.show(arguments)


def stages(edge: Edges, steps: Steps) -> dict[str, float]:
    """Seconds of each stage of one request, in the order that it goes through them."""
    measured = {
        HEAD: steps.head,
        SIGNATURE: steps.signature,
        PARSING: steps.parse,
        STORE: steps.store,
        LINK: steps.link,
        KERNEL: steps.kernel,
        RESULT: steps.result,
    }
    known = {name: samples.p50 for name, samples in measured.items() if samples.values}
    edges = {CLIENT: edge.by_client.p50 - edge.by_bytes.p50, HTTP: edge.by_bytes.p50}
    return edges | known | {REST: steps.application.p50 - sum(known.values())}


def add(report: Report, title: str, whole: float, parts: dict[str, float]) -> float:
    """Rows that add up to the whole; gives what no stage explains, in percent."""
    left = whole - sum(parts.values())
    for name, seconds in (parts | {LEFT: left, "all": whole}).items():
        report.add(f"{title}: {name}", Samples([seconds]))
    return 100 * left / whole


def measure_whole(count: int, starts: int, pool: int) -> Whole:
    """A stock client and a real server."""
    progress(f"{count} calls and {starts} starts by a stock client")
    found = Whole()
    with server(pool_size=pool) as running:
        client = running.client()
        tap = Tap(client, is_dry=False)
        for number in range(WARM_UP + starts):
            running.wait_for_pool(pool)
            kept = found if number >= WARM_UP else Whole()
            with kept.start.time():
                session = Session(client)
            found.sent["start"] = tap.last
            with kept.first.time():
                result = session.invoke("executeCode", language="python", code=FIRST_LINE)
            kept.kernel_first.values.append(result["structuredContent"]["executionTime"])
            session.stop()
        session = Session(client)
        for number in range(WARM_UP + count):
            kept = found if number >= WARM_UP else Whole()
            with kept.call.time():
                result = session.invoke("executeCode", language="python", code=CODE)
            kept.kernel_call.values.append(result["structuredContent"]["executionTime"])
            found.sent["call"] = tap.last
        calls = told_by(running, "InvokeCodeInterpreter", WARM_UP + starts + WARM_UP + count)
        begun = told_by(running, "StartCodeInterpreterSession", WARM_UP + starts + 1)
        found.told = {
            "start": Samples(begun[WARM_UP:-1]),
            "first": Samples(calls[WARM_UP : WARM_UP + starts]),
            "call": Samples(calls[-count:]),
        }
    return found


def told_by(running: Server, operation: str, count: int) -> list[float]:
    """What the server's log says of each request of the operation, in seconds; a thread of the server writes it."""
    while len(lines := running.requests(operation)) < count:
        running.ping()
    return [line["ms"] / MS for line in lines]


def measure_edges(directory: Path, whole: Whole, count: int) -> tuple[Edges, Edges]:
    """What is left when the server has nothing to do."""
    progress(f"{count} requests to a bare server")
    call, start = whole.sent["call"], whole.sent["start"]
    run = Run(stdout=RESULT.encode(), stderr=b"", exit_code=0, seconds=0.0)
    event = bytes(eventstream.result_event(tool_results.of_run(run, limit_seconds=TIMEOUT_SECONDS)))
    answers = {call.path: (EVENTS, event), start.path: ("application/json", json.dumps(STARTED).encode())}
    found = Edges(), Edges()
    with bare_server(answers, directory) as url:
        client = boto3.Session("any", "any", region_name=REGION).client("bedrock-agentcore", endpoint_url=url)
        session = Session(client)
        for number in range(WARM_UP + count):
            kept = found if number >= WARM_UP else (Edges(), Edges())
            with kept[0].by_client.time():
                session.run(CODE)
            with kept[1].by_client.time():
                Session(client)
        connection = RawConnection(url)
        for edges, request in zip(found, (call.as_bytes(), start.as_bytes()), strict=True):
            for _ in range(count):
                with edges.by_bytes.time():
                    connection.ask(request)
        connection.close()
    return found


async def measure_inside(directory: Path, count: int, starts: int, pool: int) -> Inner:
    """The server's parts in this process."""
    progress("the server's steps")
    inner = Inner()
    async with inside(directory, pool=pool) as parts:
        await measure_first_calls(parts, inner, starts)
        session_id = await parts.start()
        live = parts.live.find(session_id)
        await measure_calls(parts, inner.call, session_id, live.cell, count)
        own = directory / "store"
        own.mkdir()
        await measure_store(own, parts.settings, live.record, inner.start.store, starts)
        head_steps(inner.start, parts.start_request(), parts.secret, count)
        head_steps(inner.call, parts.run_request(session_id, CODE), parts.secret, count)
        await parts.stop(session_id)
    return inner


async def measure_first_calls(parts: Inside, inner: Inner, starts: int) -> None:
    """The first code in each new cell."""
    for number in range(WARM_UP + starts):
        kept = inner if number >= WARM_UP else Inner()
        await parts.rest()
        request = parts.start_request()
        session_id = json.loads(await parts.answer(request))["sessionId"]
        await through_the_link(parts.live.find(session_id).cell, FIRST_LINE, kept.first, parts.settings.output_bytes)
        await parts.stop(session_id)


async def measure_calls(parts: Inside, steps: Steps, session_id: str, cell: Cell, count: int) -> None:
    """The cell's part of a call and the answer's; a client's work comes before each, so that the cell rests as it does between calls."""
    for number in range(WARM_UP + count):
        kept = steps if number >= WARM_UP else Steps()
        parts.run_request(session_id, CODE)
        run = await through_the_link(cell, CODE, kept, parts.settings.output_bytes)
        with kept.result.time():
            result = tool_results.of_run(run, limit_seconds=TIMEOUT_SECONDS)
            eventstream.result_event(result)
            encoding.stream_headers(session_id, result, session_id)


async def through_the_link(cell: Cell, code: str, steps: Steps, output_bytes: int) -> Run:
    """One run; the kernel says how much of it was its own."""
    call = RunCode(
        code=code, language="python", runtime="python", clear_context=False, timeout_seconds=TIMEOUT_SECONDS, output_bytes=output_bytes
    )
    started = time.perf_counter()
    run = await cell.call(call)
    seconds = time.perf_counter() - started
    steps.kernel.values.append(run.seconds)
    steps.link.values.append(seconds - run.seconds)
    return run


async def measure_store(directory: Path, chosen: Settings, record: SessionRecord, samples: Samples, count: int) -> None:
    """How long the store takes for a new session, in a database of its own."""
    store = await open_store(replace(chosen, data_dir=directory))
    try:
        await ensure_first_key(store, directory, account=chosen.account)
        for number in range(WARM_UP + count):
            with (samples if number >= WARM_UP else Samples()).time():
                await store.create_session(replace(record, id=new_session_id()), max_live=WARM_UP + count)
    finally:
        await store.close()


def head_steps(steps: Steps, request: Tapped, secret: str, count: int) -> None:
    """What is done before the service knows of the request, again and again."""
    scope = scope_of(request)

    def head() -> tuple[Head, Match]:
        found = read_head(scope["method"], scope["raw_path"], scope["query_string"], scope["headers"])
        return found, match(found)

    known, matched = head()

    def prove() -> None:
        authorization = read_authorization(known, now())
        verify(known, authorization, secrets=(secret,), body_sha256=body_digest(request.body))

    for samples, step in ((steps.head, head), (steps.signature, prove), (steps.parse, lambda: parse(matched, known, request.body))):
        repeat(samples, step, count)


def repeat(samples: Samples, step: Callable[[], object], count: int) -> None:
    """Each sample is the mean of a few calls, because the clock takes its time too."""
    for _ in range(count):
        started = time.perf_counter()
        for _ in range(BATCH):
            step()
        samples.values.append((time.perf_counter() - started) / BATCH)


async def measure_opening(report: Report, count: int) -> None:
    """A start without a pool opens a cell; its steps."""
    progress(f"{count} cells opened")
    whole, cloning, confining = Samples(), Samples(), Samples()
    async with local_node() as (node, chosen):
        limits = cell_limits(chosen)
        node._spawn = timed(node._spawn, cloning)
        begin = LocalCell.begin
        LocalCell.begin = timed(begin, confining)
        try:
            for number in range(WARM_UP + count):
                if number == WARM_UP:
                    for samples in (whole, cloning, confining):
                        samples.values.clear()
                with whole.time():
                    cell = await node.open_cell(limits)
                await cell.close()
        finally:
            LocalCell.begin = begin
    parts = {"cloned by the template": mean(cloning.values), "confines itself, forks the kernel, says HELLO": mean(confining.values)}
    rest = {"identity, control group, link": mean(whole.values) - sum(parts.values())}
    for name, seconds in (parts | rest | {"all": mean(whole.values)}).items():
        report.add(f"a cell: {name}", Samples([seconds]))


def timed(method: Callable[..., Awaitable[None]], samples: Samples) -> Callable[..., Awaitable[None]]:
    """The same method with its time kept."""

    async def measured(*arguments: Any, **named: Any) -> None:
        with samples.time():
            await method(*arguments, **named)

    return measured


if __name__ == "__main__":
    main()
