"""The languages of run_code: one entry and one file in `kernels` each."""

from __future__ import annotations

from cellblock_cell.config import AgentConfig
from cellblock_cell.kernel import Launch, forked
from cellblock_cell.kernels import python

PYTHON = ("python", "python")  # language, runtime


def launches(config: AgentConfig) -> dict[tuple[str, str], Launch]:
    """How the kernel of each language and runtime starts."""
    return {
        PYTHON: forked(lambda connection: python.main(connection, config.environment)),
    }
