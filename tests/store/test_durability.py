"""What was acknowledged is there after the process is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from cellblock.model.resources import BUILT_IN_INTERPRETER_ID, SessionKey
from cellblock.store.sqlite import SqliteStore

CHILD = Path(__file__).with_name("acknowledging_child.py")
ACCOUNT = "111122223333"
ACKNOWLEDGED = 50


def kill_while_it_writes(data_dir: Path) -> list[tuple[str, str]]:
    with subprocess.Popen([sys.executable, CHILD, data_dir], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = [child.stdout.readline() for _ in range(ACKNOWLEDGED)]
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.readlines()
    assert child.returncode == -signal.SIGKILL
    pairs = (tuple(line.split()) for line in [*first, *rest] if line.endswith("\n"))
    return [(interpreter_id, session_id) for interpreter_id, session_id in pairs]


async def test_kill_9_loses_nothing_acknowledged_and_restart_ends_the_sessions(data_dir: Path) -> None:
    acknowledged = kill_while_it_writes(data_dir)
    assert len(acknowledged) >= ACKNOWLEDGED
    store = await SqliteStore.open(data_dir)
    try:
        for interpreter_id, _ in acknowledged:
            assert (await store.get_interpreter(ACCOUNT, interpreter_id)).status == "READY"
        assert await store.end_sessions_of_dead_server("the server restarted") >= len(acknowledged)
        for _, session_id in acknowledged:
            key = SessionKey(account=ACCOUNT, interpreter_id=BUILT_IN_INTERPRETER_ID, session_id=session_id)
            assert (await store.get_session(key)).end_reason == "the server restarted"
    finally:
        await store.close()


async def test_two_processes_can_write_to_one_file(data_dir: Path) -> None:
    store = await SqliteStore.open(data_dir)
    try:
        acknowledged = kill_while_it_writes(data_dir)
        for interpreter_id, _ in acknowledged:
            await store.delete_interpreter(ACCOUNT, interpreter_id)
    finally:
        await store.close()
