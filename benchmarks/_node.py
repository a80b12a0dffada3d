"""A node in this process: cells without a server."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from cellblock.nodes.local import LocalNode
from cellblock.runtime import builds
from cellblock.settings import table
from cellblock.settings.table import Settings


@asynccontextmanager
async def local_node() -> AsyncIterator[tuple[LocalNode, Settings]]:
    """A started node with a data directory of its own, and its settings."""
    with tempfile.TemporaryDirectory(prefix="cellblock-benchmark-") as directory:
        chosen = replace(table.load(), data_dir=Path(directory))
        node = LocalNode(chosen, await asyncio.to_thread(builds.build, chosen, lambda progress: None))
        await node.start()
        try:
            yield node, chosen
        finally:
            await node.close()
