"""Reads the log files of a data directory, the older ones too, and goes on when more is written."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cellblock.observing.rotating_file import oldest_first

POLL_SECONDS = 0.2
LEVELS = ("debug", "info", "warning", "error", "critical")

Line = dict[str, Any]
Wanted = Callable[[Line], bool]


def last_lines(path: Path, count: int, wanted: Wanted) -> list[Line]:
    """The last lines that are wanted."""
    kept: deque[Line] = deque(maxlen=count)
    for file in oldest_first(path):
        with file.open(encoding="utf-8", errors="replace") as lines:
            kept.extend(line for text in lines if (line := _parsed(text)) is not None and wanted(line))
    return list(kept)


def following(path: Path, wanted: Wanted) -> Iterator[Line]:
    """Lines as they are written from here on, in the next file too; never ends."""
    file = path.open(encoding="utf-8", errors="replace")
    try:
        file.seek(0, 2)
        while True:
            text = file.readline()
            if not text:
                time.sleep(POLL_SECONDS)
                if _is_set_aside(file.fileno(), path) and not (text := file.readline()):
                    file.close()
                    file = path.open(encoding="utf-8", errors="replace")
                    continue
            line = _parsed(text) if text else None
            if line is not None and wanted(line):
                yield line
    finally:
        file.close()


def is_at_least(line: Line, level: str) -> bool:
    """Whether a line is of this level or a higher one."""
    found = str(line.get("level", "info"))
    return found not in LEVELS or LEVELS.index(found) >= LEVELS.index(level)


def _is_set_aside(descriptor: int, path: Path) -> bool:
    try:
        return not Path(f"/proc/self/fd/{descriptor}").samefile(path)
    except OSError:
        return False


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
