"""How many files the server may hold open: one limit for its connections, cells and control groups together."""

from __future__ import annotations

import resource

PER_SESSION = 14  # its link, its pidfd and its counters for good; a connection of its client; what its start holds for a moment
OWN = 100  # the store, the log, the listener, libraries


def raise_limit() -> int:
    """Take what the hard limit allows, since shells and service managers set the soft one low for select(2)'s sake; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def sessions_within(limit: int) -> int:
    """How many sessions, all started at one moment, a limit is enough for."""
    return max(0, limit - OWN) // PER_SESSION
