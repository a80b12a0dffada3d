"""The kernels of run_code, by the runtime: one entry, and one file in `kernels`, each."""

from __future__ import annotations

from pathlib import Path

from cellblock_cell.config import AgentConfig
from cellblock_cell.kernel import Launch, executed, forked
from cellblock_cell.kernels import python

PYTHON = "python"
_KERNELS = Path(__file__).parent / "kernels"

# TypeScript with code of its own in imported files too; no warning that a user could do nothing about; and no check that
# takes a callback which was interrupted for a fault of Node's own.
_NODE = ("--experimental-transform-types", "--disable-warning=ExperimentalWarning", "--no-force-async-hooks-checks")
# The cell is the sandbox. No lock file in the workspace, and no cache of code that runs once; packages come from node_modules and
# never from a network.
_DENO = ("run", "--quiet", "--allow-all", "--no-lock", "--no-code-cache", "--node-modules-dir=manual", "--cached-only")


def launches(config: AgentConfig) -> dict[str, Launch]:
    """How the kernel of each runtime starts; languages that share a runtime share its kernel and variables."""
    parser = f"{config.runtime}/kernel/node_modules/acorn/dist/acorn.js"
    node = (f"{config.runtime}/bin/node", *_NODE, str(_KERNELS / "node.mjs"))
    deno = (f"{config.runtime}/bin/deno", *_DENO, str(_KERNELS / "deno.mjs"))
    return {
        PYTHON: forked(lambda connection: python.main(connection, config.environment, config.likenesses)),
        "nodejs": executed((*node, parser, config.workspace), config.environment),
        "deno": executed((*deno, parser, config.workspace), config.environment),
    }
