"""Log lines never make anybody wait, and hold no code and no secret."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from cellblock.observing import log_lines
from service.served import serving


@pytest.fixture(autouse=True)
def usual_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_reader_who_stops_reading_stops_nobody() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as taken, os.fdopen(writer, "w") as out:
        lines = log_lines.LineWriter(out)
        for _ in range(log_lines.KEPT_LINES * 2):
            lines.msg("x" * 1000)  # the pipe holds 64 of these
        closing = threading.Thread(target=lambda: (lines.close(), out.close()))
        closing.start()
        text = taken.readlines()
        closing.join()
    assert json.loads(text[-1])["event"] == "log lines dropped"
    assert len(text) <= log_lines.KEPT_LINES * 2


async def test_request_is_one_line_without_code_output_or_secret(data_dir: Path, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as out:
        writer = log_lines.set_up("info", out)
        async with serving(data_dir) as served:
            session = await served.start()
            await session.run("print('user code')")
            secret = served.key.secret
        writer.close()
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    (line,) = [line for line in lines if line.get("tool") == "executeCode"]
    assert (line["event"], line["operation"], line["status"], line["session"]) == ("request", "InvokeCodeInterpreter", 200, session.id)
    assert line["request_id"]
    assert line["ms"] >= 0
    assert "user code" not in text
    assert secret not in text
