"""Spans reach an OTLP receiver with AWS's names, below the caller's span."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

from cellblock.observing import spans
from service.fake_clock import FakeClock
from service.served import BUILT_IN, off_loop, refused, serving, until
from service.telemetry_receiver import attributes, receiving

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
W3C = f"00-{TRACE}-{PARENT}-01"
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={PARENT};Sampled=1"


def sending(client: Any, **headers: str) -> Any:
    """The client with headers that no signature covers, as a tracer adds them."""
    client.meta.events.register("before-send", lambda request, **_: request.headers.update(headers))
    return client


async def test_operations_of_a_session_are_spans_with_aws_attributes(data_dir: Path) -> None:
    with receiving() as receiver:
        async with serving(data_dir, otlp_endpoint=receiver.url, otlp_headers="x-api-key=hidden") as served:
            session = await served.start()
            await session.run("print(1)")
            await session.stop()
        invoke = attributes(receiver.named("InvokeCodeInterpreter"))
        assert invoke["aws.operation.name"] == "InvokeCodeInterpreter"
        assert invoke["toolsession.id"] == session.id
        assert invoke["aws.account.id"] == served.key.account
        assert invoke["aws.region"] == "us-west-2"
        assert invoke["aws.resource.arn"] == "arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1"
        assert invoke["aws.request.id"]
        assert float(str(invoke["latency_ms"])) > 0
        assert attributes(receiver.named("StartCodeInterpreterSession"))["toolsession.id"] == session.id
        assert (
            receiver.named("StopCodeInterpreterSession").end_time_unix_nano
            > receiver.named("StopCodeInterpreterSession").start_time_unix_nano
        )
        assert receiver.services == {"cellblock"}
        assert {headers["x-api-key"] for headers in receiver.headers} == {"hidden"}


async def test_error_is_in_the_span(data_dir: Path) -> None:
    with receiving() as receiver:
        async with serving(data_dir, otlp_endpoint=receiver.url) as served:
            await refused(served.data().stop_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN, sessionId="0" * 26)
        span = receiver.named("StopCodeInterpreterSession")
        assert attributes(span)["error_type"] == "ResourceNotFoundException"
        assert span.status.code == 2


@pytest.mark.parametrize("headers", [{"traceparent": W3C}, {"X-Amzn-Trace-Id": XRAY}], ids=["w3c", "x-ray"])
async def test_span_is_below_the_caller_s(data_dir: Path, headers: dict[str, str]) -> None:
    with receiving() as receiver:
        async with serving(data_dir, otlp_endpoint=receiver.url) as served:
            await off_loop(sending(served.control(), **headers).list_code_interpreters)
        span = receiver.named("ListCodeInterpreters")
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


async def test_session_that_expires_has_a_span(data_dir: Path) -> None:
    clock = FakeClock()
    with receiving() as receiver:
        async with serving(data_dir, otlp_endpoint=receiver.url, clock=clock) as served:
            session = await served.start(sessionTimeoutSeconds=60)
            clock.advance(61)
            await until(lambda: served.node.cells[0].is_closed)
        found = attributes(receiver.named("CodeInterpreterSessionExpire"))
        assert found["toolsession.id"] == session.id
        assert float(str(found["session_duration_s"])) >= 60


async def test_request_with_a_wrong_signature_makes_no_span(data_dir: Path) -> None:
    with receiving() as receiver:
        async with serving(data_dir, otlp_endpoint=receiver.url) as served:
            await refused(served.data(secret="wrong").start_code_interpreter_session, codeInterpreterIdentifier=BUILT_IN)
    assert receiver.spans == []


async def test_receiver_that_is_gone_does_not_keep_the_server_from_ending(data_dir: Path) -> None:
    with receiving() as receiver:
        pass
    async with serving(data_dir, otlp_endpoint=receiver.url) as served:
        await served.start()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "00-zz-1-01"},
        {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
        {"x-amzn-trace-id": "Root=1-0-0;Parent=x"},
        {"x-amzn-trace-id": f"Root=1-{'0' * 8}-{'0' * 24};Parent={PARENT}"},
        {"x-amzn-trace-id": f"Root=1-{TRACE[:8]}-{TRACE[8:]}"},
    ],
)
def test_malformed_header_of_a_caller_starts_a_trace_of_its_own(headers: dict[str, str]) -> None:
    assert not trace.get_current_span(spans.parent_of(headers)).get_span_context().is_valid


def test_caller_that_does_not_sample_is_followed() -> None:
    found = trace.get_current_span(spans.parent_of({"x-amzn-trace-id": XRAY.replace("Sampled=1", "Sampled=0")})).get_span_context()
    assert found.is_valid
    assert not found.trace_flags.sampled
