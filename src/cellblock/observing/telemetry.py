"""The observers that the settings ask for; what is switched off is not even imported."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import cast

from cellblock.machine.data_directory import DataDirectoryError
from cellblock.model.happenings import Observer, Observers
from cellblock.model.resources import now
from cellblock.observing.audit_log import AUDIT_NAME, LOG_DIRECTORY, AuditLog
from cellblock.observing.counters import Counters
from cellblock.observing.plain_pages import PlainPage, of_this_machine, with_token
from cellblock.observing.rotating_file import RotatingFile
from cellblock.sessions.figures import LiveFigures
from cellblock.settings.table import Settings


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The observers, and those of them that others ask."""

    observer: Observer
    counters: Counters
    audit: AuditLog | None


def open_telemetry(settings: Settings, parts: AsyncExitStack) -> Telemetry:
    """Open files and exporters, each with its end on the stack. Raises DataDirectoryError."""
    counters = Counters()
    observers: list[Observer] = [counters]
    audit = _audit_log(settings, parts) if settings.audit != "off" else None
    if audit is not None:
        observers.append(audit)
    if settings.otlp_endpoint:
        observers.append(_spans(settings, parts))
    return Telemetry(Observers(*observers), counters, audit)


def metrics_page(settings: Settings, counters: Counters, figures: LiveFigures) -> dict[str, PlainPage]:
    """`/metrics` for those that the settings allow."""
    if settings.metrics == "off":
        return {}
    page = cast("PlainPage", importlib.import_module("cellblock.observing.metrics_page").metrics(counters, figures))
    return {"/metrics": of_this_machine(page) if settings.metrics == "loopback" else with_token(page, settings.metrics_token)}


def _audit_log(settings: Settings, parts: AsyncExitStack) -> AuditLog:
    path = settings.data_dir / LOG_DIRECTORY / AUDIT_NAME
    try:
        file = RotatingFile(path, limit_bytes=settings.log_file_bytes)
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be written: {error.strerror}") from error
    parts.callback(file.close)
    return AuditLog(file, with_calls=settings.audit == "all", now=now)


def _spans(settings: Settings, parts: AsyncExitStack) -> Observer:
    spans = importlib.import_module("cellblock.observing.spans").Spans(settings.otlp_endpoint, settings.otlp_headers, version("cellblock"))
    parts.push_async_callback(asyncio.to_thread, spans.close)
    return cast("Observer", spans)
