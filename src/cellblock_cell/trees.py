"""Removes a directory with all that is below it, by descriptors, so that no link is ever followed."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass

_DEPTH_LIMIT = 100  # descriptors open at once; what lies deeper is moved up first
_STEPS_BETWEEN_PAUSES = 200
_NAMES_AT_ONCE = 1000  # of a level; their names are in the agent's memory
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class _Level:
    name: str
    descriptor: int
    names: Iterator[str]


def remove_tree(directory: int, name: str) -> Generator[None, None, None]:
    """Remove `name` in the open directory, giving way now and then; raises OSError, and then a part of the tree is left."""
    levels = [_enter(directory, name)]
    steps = 0
    try:
        while levels:
            steps += 1
            if steps % _STEPS_BETWEEN_PAUSES == 0:
                yield
            _step(levels, directory)
    finally:
        for level in levels:
            os.close(level.descriptor)


def _enter(parent: int, name: str) -> _Level:
    descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
    try:
        return _Level(name, descriptor, iter(_some_names(descriptor)))
    except OSError:
        os.close(descriptor)
        raise


def _step(levels: list[_Level], directory: int) -> None:
    """Remove one name of the deepest level, or go down into it, or leave the level when it is empty."""
    level = levels[-1]
    name = next(level.names, None)
    if name is None:
        _leave(levels, directory)
    elif not _is_removed(level.descriptor, name):
        if len(levels) < _DEPTH_LIMIT:
            levels.append(_enter(level.descriptor, name))
        else:
            os.rename(name, f".{uuid.uuid4().hex}", src_dir_fd=level.descriptor, dst_dir_fd=levels[0].descriptor)


def _is_removed(directory: int, name: str) -> bool:
    """Unlink what is not a directory."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        return False
    except FileNotFoundError:
        pass
    return True


def _leave(levels: list[_Level], directory: int) -> None:
    level = levels[-1]
    left = _some_names(level.descriptor)  # not read yet, moved up from the depth, or written meanwhile
    if left:
        level.names = iter(left)
        return
    os.rmdir(level.name, dir_fd=levels[-2].descriptor if len(levels) > 1 else directory)
    os.close(levels.pop().descriptor)


def _some_names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in itertools.islice(entries, _NAMES_AT_ONCE)]
