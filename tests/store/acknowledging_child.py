"""A process that keeps interpreters and sessions, and says so after each, until it is killed."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from cellblock.model.resources import BUILT_IN_INTERPRETER_ID, Interpreter, Session, new_interpreter_id, new_session_id, now
from cellblock.store.sqlite import SqliteStore

ACCOUNT = "111122223333"


async def main(data_dir: Path) -> None:
    store = await SqliteStore.open(data_dir)
    for number in itertools.count():
        name, time = f"made{number}", now()
        interpreter = Interpreter(
            id=new_interpreter_id(name), name=name, account=ACCOUNT, network_mode="SANDBOX", created_at=time, updated_at=time
        )
        session = Session(
            id=new_session_id(),
            interpreter_id=BUILT_IN_INTERPRETER_ID,
            account=ACCOUNT,
            timeout_seconds=60,
            created_at=time,
            updated_at=time,
        )
        await store.create_interpreter(interpreter)
        await store.create_session(session, max_live=1_000_000)
        sys.stdout.write(f"{interpreter.id} {session.id}\n")
        sys.stdout.flush()


asyncio.run(main(Path(sys.argv[1])))
