"""Keeps a result within what one event of the answer's stream can carry."""

from __future__ import annotations

from dataclasses import replace

from cellblock.model.calls import Image, Run, TaskState
from cellblock.wire.encoding import blob_size, text_size
from cellblock.wire.eventstream import PAYLOAD_MAX_BYTES

FRAME_BYTES = 256 * 1024  # left for member names, notes and markers
IMAGE_BYTES = 12 * 1024 * 1024  # of base64, so that pictures leave room for the text
STEP_BYTES = 4096

_BUDGET = PAYLOAD_MAX_BYTES - FRAME_BYTES
_WORST_GROWTH = 6  # a control character is \u0000 in JSON
_COPIES = 2  # output stands in the content and in the structured content


def fit_run(run: Run) -> Run:
    """The run with as much of its output as one event carries; what is cut is counted."""
    images = _leading(run.images)
    room = (_BUDGET - sum(blob_size(image.data) for image in images)) // _COPIES
    stdout, stderr = _fit(run.stdout, run.stderr, room)
    lost = len(run.stdout) - len(stdout) + len(run.stderr) - len(stderr)
    if not lost and len(images) == len(run.images):
        return run
    return replace(
        run,
        stdout=stdout,
        stderr=stderr,
        dropped_bytes=run.dropped_bytes + lost,
        images=images,
        note=_image_note(run, len(run.images) - len(images)),
    )


def fit_task(task: TaskState) -> TaskState:
    """The task with as much of its output as one event carries; what is cut is counted."""
    stdout, stderr = _fit(task.stdout, task.stderr, _BUDGET // _COPIES)
    lost = len(task.stdout) - len(stdout) + len(task.stderr) - len(stderr)
    return replace(task, stdout=stdout, stderr=stderr, dropped_bytes=task.dropped_bytes + lost) if lost else task


def content_size(content: str | bytes | bytearray) -> int:
    """Bytes of a file's content in an event."""
    return text_size(content) if isinstance(content, str) else blob_size(content)


def fits_event(size: int) -> bool:
    """Whether contents of this size in all leave room for the rest of the event."""
    return size <= _BUDGET


def _leading(images: tuple[Image, ...]) -> tuple[Image, ...]:
    kept: list[Image] = []
    size = 0
    for image in images:
        size += blob_size(image.data)
        if size > IMAGE_BYTES:
            break
        kept.append(image)
    return tuple(kept)


def _image_note(run: Run, dropped: int) -> str:
    if not dropped:
        return run.note
    note = f"[{dropped} of {len(run.images)} images dropped: the answer cannot carry them; save them to files instead]"
    return f"{run.note}\n{note}" if run.note else note


def _fit(stdout: bytes, stderr: bytes, room: int) -> tuple[bytes, bytes]:
    if (len(stdout) + len(stderr)) * _WORST_GROWTH <= room:
        return stdout, stderr
    kept_stderr, used = _cut(stderr, room // 2)
    kept_stdout, _ = _cut(stdout, room - used)
    return kept_stdout, kept_stderr


def _cut(data: bytes, room: int) -> tuple[bytes, int]:
    """The longest beginning, in whole steps, whose JSON has at most `room` bytes; and the bytes of its JSON."""
    used = 0
    for start in range(0, len(data), STEP_BYTES):
        size = text_size(data[start : start + STEP_BYTES].decode("utf-8", "replace"))
        if used + size > room:
            return data[: _character_start(data, start)], used
        used += size
    return data, used


def _character_start(data: bytes, position: int) -> int:
    """Back to where a UTF-8 character begins, at most three bytes."""
    for start in range(position, max(position - 4, -1), -1):
        if data[start] & 0xC0 != 0x80:
            return start
    return position
