"""The names of a directory pass through the agent: one too full, or listed and removed ten times at once, would take its memory."""

from __future__ import annotations

import pytest

from cellblock.model.calls import ListFiles, RemoveFiles, ToolFailed
from cells import MIB, Bench

MAKE = """
os.mkdir("full")
directory = os.open("full", os.O_RDONLY)
for number in range(60_000):
    os.close(os.open(b"%06d" % number + bytes([255]) * 249, os.O_CREAT | os.O_WRONLY, dir_fd=directory))
print("made")
"""
LIST_IN_CODE = "import os; kept = [os.listdir('full') for _ in range(10)]"
MEMORY = 256 * MIB


@pytest.mark.root
@pytest.mark.parametrize("tool", [ListFiles("full"), RemoveFiles(("full",))], ids=["list", "remove"])
def test_ten_calls_for_a_full_directory_leave_the_session_alive(strong: Bench, tool: ListFiles | RemoveFiles) -> None:
    if strong.node.group_kind == "none":
        pytest.skip("needs the memory and process controllers of cgroup v1 or v2, and the right to write there")
    with strong.cell(memory_bytes=MEMORY) as cell:
        assert cell.probe(MAKE) == "made"
        assert cell.run(LIST_IN_CODE).outcome == "killed"
        calls = [cell.begin(tool) for _ in range(10)]
        failures = [call.exception(60) for call in calls]
        assert {failure.kind for failure in failures if isinstance(failure, ToolFailed)} <= {"too_many_entries"}
        assert all(failure is None or isinstance(failure, ToolFailed) for failure in failures)
        assert cell.probe("print('alive')") == "alive"


def test_a_full_directory_is_removed_whole(strong: Bench) -> None:
    with strong.cell() as cell:
        cell.probe("os.mkdir('full')\nfor number in range(5000):\n    open(f'full/{number}', 'w').close()")
        assert cell.call(RemoveFiles(("full",))).removed == 1
        assert cell.call(ListFiles("")).entries == ()
