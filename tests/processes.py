"""Processes of the host as /proc shows them. Any of them may end while it is looked at, and then counts as gone."""

from __future__ import annotations

from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether there is such a process; one that has ended and waits for its parent only does not count (proc(5), stat)."""
    state, _ = _state_and_parent(pid)
    return state not in {"", "Z", "X"}


def every_process() -> list[int]:
    """Of this machine, as far as this process sees it."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def children(pid: int) -> list[int]:
    """The live processes that one started (proc(5), children)."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, _read(path).split())
    return [child for child in found if is_alive(child)]


def descendants(pid: int) -> set[int]:
    """Every live process below one, in its and in deeper PID namespaces."""
    states = {one: _state_and_parent(one) for one in every_process()}
    parents = {one: parent for one, (state, parent) in states.items() if state not in {"", "Z", "X"}}
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= more
    return found


def command_line(pid: int) -> list[str]:
    """A process's words; none of one that has ended."""
    return _read(Path(f"/proc/{pid}/cmdline")).split("\0")[:-1]


def status_of(pid: int) -> dict[str, str]:
    """As proc(5) has it; empty for a process that has ended."""
    return dict(line.split(":\t", 1) for line in _read(Path(f"/proc/{pid}/status")).splitlines())


def host_ids(pid: int) -> set[int]:
    """The four user ids of a process, as the host sees them."""
    return {int(number) for number in status_of(pid).get("Uid", "").split()}


def is_template(pid: int) -> bool:
    """Whether a process, or the one that it was cloned from, runs the template's code."""
    return any("import template" in word for word in command_line(pid))


def _state_and_parent(pid: int) -> tuple[str, int]:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(") ")[2].split()
    return (fields[0], int(fields[1])) if fields else ("", 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
