"""The nicest way to use a Cellblock server from Python: sessions as `with` blocks, typed results, streams."""

from __future__ import annotations

from cellblock.clients.awaiting import AsyncClient, AsyncSession, AsyncTask
from cellblock.clients.blocking import Client, Session, Task
from cellblock.clients.results import ClientError, ConnectionFailed, Entry, File, Image, Output, Result, RunFailed, ServiceError
from cellblock.clients.server import Server, ServerNotFound, find_server
from cellblock.clients.transport import Limits

__all__ = [
    "AsyncClient",
    "AsyncSession",
    "AsyncTask",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Entry",
    "File",
    "Image",
    "Limits",
    "Output",
    "Result",
    "RunFailed",
    "Server",
    "ServerNotFound",
    "ServiceError",
    "Session",
    "Task",
    "find_server",
]
