"""A host of its own for tests that kill it: opens two cells, says who is who on its standard output, and waits."""

from __future__ import annotations

import json
import sys

from cellblock.runtime import builds
from cells import Bench, bench_settings
from processes import descendants


def main() -> None:
    """Print {"template": pid, "below": pids of all processes that must end with this one}, then wait for ever."""
    settings = bench_settings()
    found = builds.find(settings)
    assert found is not None
    bench = Bench(settings, found)
    cells = [bench.open() for _ in range(2)]
    for cell in cells:
        cell.command("setsid sleep 1000 >/dev/null 2>&1 &")
    template = bench.node.template_pid
    assert template is not None
    sys.stdout.write(json.dumps({"template": template, "below": sorted(descendants(template))}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


main()
