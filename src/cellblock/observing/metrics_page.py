"""`/metrics`: the counters and the live figures in Prometheus's format. Imported only when the page is switched on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cellblock.observing.counters import Counters, Distribution, Outcomes
from cellblock.observing.plain_pages import PlainPage, Scope
from cellblock.sessions.figures import LiveFigures, ServerFigures
from cellblock.wire.encoding import Response

CONTENT_TYPE = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
LABELS = ("operation", "account")
OUTCOMES: tuple[tuple[str, str, Callable[[Outcomes], int]], ...] = (
    ("cellblock_invocations", "Invocations: requests that were answered", lambda found: found.invocations),
    ("cellblock_throttles", "Throttles: requests that were refused because they came too fast", lambda found: found.throttles),
    ("cellblock_system_errors", "SystemErrors: requests that failed by the service's fault", lambda found: found.system_errors),
    ("cellblock_user_errors", "UserErrors: requests that failed by the client's fault", lambda found: found.user_errors),
)


def metrics(counters: Counters, figures: LiveFigures) -> PlainPage:
    """The page."""

    async def page(_scope: Scope) -> Response:
        found = await figures.read()
        return Response(200, CONTENT_TYPE, await asyncio.to_thread(_text, counters, found))

    return page


def _text(counters: Counters, figures: ServerFigures) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Collector(counters, figures))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collector(Collector):
    """Numbers as they are at this scrape; the dictionaries are copied because the event loop goes on adding to them."""

    def __init__(self, counters: Counters, figures: ServerFigures) -> None:
        self._counters = counters
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """prometheus_client: the families."""
        yield from _outcomes(dict(self._counters.outcomes))
        yield _latency(dict(self._counters.latency))
        yield _tools(dict(self._counters.tools))
        duration = HistogramMetricFamily("cellblock_session_duration_seconds", "Duration: how long sessions lived that are over")
        duration.add_metric((), *_buckets(self._counters.durations))
        yield duration
        yield from _live(self._figures)


def _outcomes(found: dict[tuple[str, str], Outcomes]) -> Iterator[Metric]:
    for name, text, count in OUTCOMES:
        family = CounterMetricFamily(name, text, labels=LABELS)
        for (operation, account), outcomes in found.items():
            family.add_metric((operation, account), count(outcomes))
        yield family


def _latency(found: dict[str, Distribution]) -> Metric:
    family = HistogramMetricFamily("cellblock_latency_seconds", "Latency: from a request's head to its answer", labels=("operation",))
    for operation, distribution in found.items():
        family.add_metric((operation,), *_buckets(distribution))
    return family


def _tools(found: dict[tuple[str, bool], int]) -> Metric:
    family = CounterMetricFamily(
        "cellblock_tool_results", "Results of tools; is_error says that the user's code failed", labels=("tool", "is_error")
    )
    for (tool, is_error), count in found.items():
        family.add_metric((tool, str(is_error).lower()), count)
    return family


def _buckets(distribution: Distribution) -> tuple[list[tuple[str, float]], float]:
    bounds = [f"{bound:g}" for bound in distribution.bounds] + ["+Inf"]
    return list(zip(bounds, accumulate(distribution.counts), strict=True)), distribution.total


def _live(figures: ServerFigures) -> Iterator[Metric]:
    usages = [session.usage for session in figures.sessions if session.usage is not None]
    gauges = {
        "cellblock_sessions_active": ("Sessions that live", len(figures.sessions)),
        "cellblock_calls_running": ("Calls that are under way", sum(session.calls for session in figures.sessions)),
        "cellblock_pool_cells": ("Cells that wait for a session", figures.pool_cells),
        "cellblock_pool_size": ("Cells that the pool keeps when it is full", figures.pool_size),
        "cellblock_draining": ("1 while the server stops", figures.is_draining),
        "cellblock_template_up": ("1 while the template runs", figures.node.template_pid is not None),
        "cellblock_cells_memory_bytes": ("Memory of all live sessions", sum(usage.memory_bytes for usage in usages)),
        "cellblock_cells_processes": ("Processes of all live sessions", sum(usage.process_count for usage in usages)),
        "cellblock_cells_cpu_seconds": ("CPU time of all live sessions since their starts", sum(usage.cpu_seconds for usage in usages)),
    }
    for name, (text, value) in gauges.items():
        yield GaugeMetricFamily(name, text, value=float(value))
    limits = GaugeMetricFamily("cellblock_limits", "1 for the means that hold the limits of cells", labels=("kind",))
    limits.add_metric((figures.node.limits,), 1.0)
    yield limits
