"""Counts requests in plain numbers, which cost a request next to nothing; who wants metrics reads them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from cellblock.model.happenings import RequestRecord, SessionEnd

LATENCY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
DURATION_SECONDS = (1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0)
THROTTLED_STATUS = 429


@dataclass(slots=True)
class Distribution:
    """How many values were up to each bound; the last count is of those above all."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """One value more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Outcomes:
    """The requests of one operation and account, by AWS's names."""

    invocations: int = 0
    throttles: int = 0
    system_errors: int = 0
    user_errors: int = 0


class Counters:
    """An observer that counts since the server's start."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[str, str], Outcomes] = {}
        self.latency: dict[str, Distribution] = {}
        self.tools: dict[tuple[str, bool], int] = {}
        self.durations = Distribution(DURATION_SECONDS)

    def request_done(self, record: RequestRecord) -> None:
        """See Observer. The account of who has proven nothing is empty, so that nobody can make up new ones."""
        operation = record.operation
        account = record.key.account if record.is_proven and record.key is not None else ""
        outcomes = self.outcomes.get((operation, account))
        if outcomes is None:
            outcomes = self.outcomes[operation, account] = Outcomes()
            self.latency.setdefault(operation, Distribution(LATENCY_SECONDS))
        outcomes.invocations += 1
        if record.status == THROTTLED_STATUS:
            outcomes.throttles += 1
        elif record.status >= 500:
            outcomes.system_errors += 1
        elif record.status >= 400:
            outcomes.user_errors += 1
        self.latency[operation].add(record.seconds)
        if record.is_error is not None:
            key = (record.tool, record.is_error)
            self.tools[key] = self.tools.get(key, 0) + 1

    def session_ended(self, end: SessionEnd) -> None:
        """See Observer."""
        self.durations.add(end.seconds)
