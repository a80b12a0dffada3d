"""Spans of requests and of sessions that expire, sent by OTLP. Imported only when an endpoint is set.

A span is made when its request is over, from the times that were kept: a request that is not traced pays nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cellblock.model.happenings import RequestRecord, SessionEnd
from cellblock.model.resources import interpreter_arn

EXPORT_SECONDS = 3.0
XRAY_HEADER = "x-amzn-trace-id"
NANOSECONDS = 1_000_000_000

_XRAY_ROOT = re.compile(r"(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)")
_XRAY_PARENT = re.compile(r"(?:^|;)\s*Parent=([0-9a-f]{16})(?:;|$)")
_XRAY_UNSAMPLED = re.compile(r"(?:^|;)\s*Sampled=0(?:;|$)")
_W3C = TraceContextTextMapPropagator()


class Spans:
    """An observer. Its owner closes it, which sends what waits."""

    def __init__(self, endpoint: str, headers: str, version: str) -> None:
        given = dict(part.split("=", 1) for part in headers.split(",") if part)
        exporter = OTLPSpanExporter(endpoint=endpoint, headers=given, timeout=EXPORT_SECONDS)
        self._provider = TracerProvider(resource=Resource.create({"service.name": "cellblock", "service.version": version}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("cellblock", version)

    def request_done(self, record: RequestRecord) -> None:
        """See Observer. Who has proven nothing makes no spans."""
        if not record.is_proven or record.key is None:
            return
        attributes: dict[str, str | float] = {
            "aws.operation.name": record.operation,
            "aws.resource.arn": interpreter_arn(record.interpreter_id or "*", region=record.region, account=record.key.account),
            "aws.request.id": record.request_id,
            "aws.account.id": record.key.account,
            "aws.region": record.region,
            "latency_ms": round(record.seconds * 1000, 3),
            "http.response.status_code": record.status,
        }
        if record.session_id:
            attributes["toolsession.id"] = record.session_id
        if record.tool:
            attributes["tool.name"] = record.tool
        if record.error:
            attributes["error_type"] = record.error
        span = self._tracer.start_span(
            record.operation, parent_of(record.headers), kind=SpanKind.SERVER, attributes=attributes, start_time=record.started_ns
        )
        if record.error:
            span.set_status(Status(StatusCode.ERROR, record.error))
        span.end(record.started_ns + int(record.seconds * NANOSECONDS))

    def session_ended(self, end: SessionEnd) -> None:
        """See Observer. A stop is a request and has its span; an expiry is nobody's."""
        if not end.is_expiry:
            return
        session, ended = end.session, time.time_ns()
        attributes: dict[str, str | float] = {
            "aws.operation.name": "CodeInterpreterSessionExpire",
            "aws.account.id": session.account,
            "toolsession.id": session.id,
            "session_duration_s": round(end.seconds, 3),
        }
        span = self._tracer.start_span("CodeInterpreterSessionExpire", Context(), attributes=attributes, start_time=ended)
        span.end(ended)

    def close(self) -> None:
        """Send what waits, for a bounded time. Blocks."""
        self._provider.shutdown()


def parent_of(headers: Mapping[str, str]) -> Context:
    """The caller's span by its W3C or X-Ray header; an empty context without a right one."""
    found = _W3C.extract({name: headers[name] for name in ("traceparent", "tracestate") if name in headers}, context=Context())
    if trace.get_current_span(found).get_span_context().is_valid:
        return found
    sent = headers.get(XRAY_HEADER, "")
    root, parent = _XRAY_ROOT.search(sent), _XRAY_PARENT.search(sent)
    if root is None or parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.DEFAULT if _XRAY_UNSAMPLED.search(sent) else TraceFlags.SAMPLED)
    caller = SpanContext(int(root[1] + root[2], 16), int(parent[1], 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(caller), Context()) if caller.is_valid else Context()
