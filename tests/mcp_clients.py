"""Clients of the Model Context Protocol as the official SDK has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp_types as types
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from cellblock.wire.bearer import bearer_token


def headers_of(key_id: str, secret: str) -> dict[str, str]:
    """What proves to the server who asks."""
    return {"Authorization": f"Bearer {bearer_token(key_id, secret)}"}


@asynccontextmanager
async def http_client(url: str, headers: dict[str, str], *, query: str = "", **options: Any) -> AsyncIterator[Client]:
    """A client that is connected to a server's /mcp."""
    address = f"{url}/mcp{query}"
    http = httpx2.AsyncClient(headers=headers, timeout=60)
    async with http, Client(streamable_http_client(address, http_client=http), **options) as client:
        yield client


def texts(result: types.CallToolResult) -> list[str]:
    """The text blocks of a result."""
    return [block.text for block in result.content if isinstance(block, types.TextContent)]
