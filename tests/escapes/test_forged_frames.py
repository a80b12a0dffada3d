"""The code shares a process with the kernel, so it can write frames of its own to the agent, and the agent must bear them."""

from __future__ import annotations

import pytest

from cells import BenchCell

FRAME = "struct.pack('>BBHIII', 1, {kind}, 0, {call}, {meta}, {body})"
BOMBS = {
    "garbage": "b'garbage' * 100",
    "a frame of four gigabytes": FRAME.format(kind=3, call=1, meta=2**32 - 1, body=2**32 - 1),
    "an unknown kind": FRAME.format(kind=99, call=1, meta=0, body=0),
    "a host's order": FRAME.format(kind=2, call=1, meta=0, body=0),
    "the result of another call": FRAME.format(kind=5, call=4_000_000_000, meta=0, body=0),
    "a result of its own that is no number": FRAME.format(kind=5, call=2, meta=18, body=0) + """ + b'{"exit_code":true}'""",
    "an image without a number": FRAME.format(kind=3, call=1, meta=0, body=4) + " + b'four'",
}


@pytest.mark.parametrize("frame", BOMBS.values(), ids=BOMBS)
def test_a_forged_frame_harms_the_run_that_sent_it_only(cell: BenchCell, frame: str) -> None:
    assert cell.probe("kept = 1; print(kept)") == "1"
    forged = cell.run(f"import os, signal, struct\n_ = os.write(3, {frame})\nsignal.pause()", timeout_seconds=1)
    assert forged.outcome in ("killed", "timeout")
    assert cell.probe("print('alive')") == "alive"
    assert cell.shell("echo alive") == "alive"


def test_a_closed_connection_ends_the_kernel_and_not_the_session(cell: BenchCell) -> None:
    closed = cell.run("import os, signal; os.close(3); signal.pause()", timeout_seconds=10)
    assert closed.outcome == "killed"
    assert "connection" in closed.note
    assert cell.probe("print('alive')") == "alive"
