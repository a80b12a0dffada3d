"""Limits of one cell in control groups of version 2 or 1; sampling where the host grants neither."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from cellblock.errors import HostNotReady, host_failed
from cellblock.model.calls import CellUsage, MemoryUse
from cellblock.sandbox.counters import GroupCounters
from cellblock.sandbox.delegation import PREFIX, Delegation
from cellblock.sandbox.groups import Group, GroupLimits, Groups, Kind
from cellblock.sandbox.sampling import SampledGroups

_CPU_PERIOD_MICROSECONDS = 100_000
_V2_CONTROLLERS = ("memory", "pids", "cpu")
_V1_CONTROLLERS = ("memory", "pids", "cpu")
_V1_CPU_TIME = "cpuacct"  # most hosts have it in the hierarchy of "cpu"; the others have it in one of its own
_V1_SOCKET_BUFFERS = "memory.kmem.tcp.limit_in_bytes"  # version 1 charges what waits in sockets to nobody until this has a limit
_V1_LIMIT = "memory.limit_in_bytes"
_V1_LAST_REQUEST = 1024 * 1024  # more than the kernel asks for in one piece that it cannot do without
_V1_WITH_SWAP = "memory.memsw.limit_in_bytes"
_AGENT, _USER = "agent", "user"
_MOUNTS = Path("/proc/self/mountinfo")
_MEMBERSHIP = Path("/proc/self/cgroup")


def _write(path: Path, value: int | str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _open_all(paths: list[Path]) -> list[int]:
    opened: list[int] = []
    try:
        for path in paths:
            opened.append(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        raise
    return opened


def _counter(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _number(path: Path) -> int:
    return int(path.read_text())


class V2Group:
    """A directory of the unified hierarchy with one below it for each memory limit (cgroup-v2, kernel documentation)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at_limit = 0
        self._counters = GroupCounters(
            cpu_time=path / "cpu.stat",
            cpu_units=1e6,
            memory=path / "memory.current",
            memory_peak=path / "memory.peak",
            kills=path / _USER / "memory.events",
        )

    def open_members(self) -> list[int]:
        """The one list of members."""
        return _open_all([self._path / _AGENT / "cgroup.procs"])

    def open_entrance(self) -> list[int]:
        """The user's list of members; processes and CPU time are counted in the directory above both."""
        return _open_all([self._path / _USER / "cgroup.procs"])

    def watch(self, first_pid: int) -> None:
        """The kernel holds the limits."""

    def out_of_memory_kills(self) -> int:
        """The user group's own count."""
        return self._counters.out_of_memory_kills()

    def usage(self) -> CellUsage:
        """The figures of the directory above both, which hold those below it."""
        return CellUsage(
            cpu_seconds=_counter(self._path / "cpu.stat", "usage_usec") / 1e6,
            memory_bytes=_number(self._path / "memory.current"),
            process_count=_number(self._path / "pids.current"),
        )

    def cpu_seconds(self) -> float:
        """The counter of the directory above both."""
        return self._counters.cpu_seconds()

    def memory(self) -> MemoryUse:
        """The counters of the directory above both."""
        return MemoryUse(self._counters.memory_bytes(), self._counters.memory_peak_bytes())

    def was_at_limit(self) -> bool:
        """By the user group's own count of requests that could not be met, which a machine without memory does not raise."""
        before, self._at_limit = self._at_limit, _counter(self._path / _USER / "memory.events", "oom")
        return self._at_limit > before

    def remove(self) -> None:
        """Remove the directories."""
        self._counters.close()
        for path in (self._path / _USER, self._path / _AGENT, self._path):
            path.rmdir()


class V2Groups:
    """Groups below this process's own, where the unified hierarchy has the controllers and is writable."""

    kind: Kind = "v2"

    def __init__(self, delegation: Delegation) -> None:
        self._delegation = delegation
        self._parent = delegation.base / _own_name()

    def open(self) -> None:
        """Make the directory above the cells' groups; raises OSError when the hierarchy is not delegated."""
        _sweep(self._delegation.base)
        self._delegation.enable(_V2_CONTROLLERS)
        self._parent.mkdir(exist_ok=True)
        _write(self._parent / "cgroup.subtree_control", " ".join(f"+{name}" for name in _V2_CONTROLLERS))

    def create(self, name: str, limits: GroupLimits) -> Group:
        """Make a group with no swap, since swap would double the memory limit."""
        path = self._parent / name
        try:
            path.mkdir()
            _write(path / "cgroup.subtree_control", "+memory")
            for below, memory_bytes in ((_AGENT, limits.agent_memory_bytes), (_USER, limits.memory_bytes)):
                (path / below).mkdir()
                _write(path / below / "memory.max", memory_bytes)
                if (path / below / "memory.swap.max").exists():
                    _write(path / below / "memory.swap.max", 0)
            _write(path / "pids.max", limits.process_count)
            _write(path / "cpu.max", f"{int(limits.cpus * _CPU_PERIOD_MICROSECONDS)} {_CPU_PERIOD_MICROSECONDS}")
        except OSError as error:
            raise _not_made(path, error) from error
        return V2Group(path)

    async def enforce(self) -> None:
        """The kernel holds the limits."""

    def close(self) -> None:
        """Remove the directory above the groups."""
        if self._parent.exists():
            self._parent.rmdir()
        self._delegation.release(_V2_CONTROLLERS)


class V1Group:
    """One directory in each hierarchy; that for memory has one below it for each limit (cgroup-v1, kernel documentation)."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self._paths = paths
        self._agent, self._user = (paths["memory"] / name for name in (_AGENT, _USER))
        self._counters = GroupCounters(
            cpu_time=paths.get(_V1_CPU_TIME, paths["cpu"]) / "cpuacct.usage",
            cpu_units=1e9,
            memory=paths["memory"] / "memory.usage_in_bytes",
            memory_peak=paths["memory"] / "memory.max_usage_in_bytes",
            kills=self._user / "memory.oom_control",
        )

    def open_members(self) -> list[int]:
        """The list of each hierarchy: the one of threads, which the kernel changes without stopping all forks."""
        return _open_all([path / "tasks" for path in (self._agent, *self._paths.values()) if path != self._paths["memory"]])

    def open_entrance(self) -> list[int]:
        """The user's list in the memory hierarchy."""
        return _open_all([self._user / "tasks"])

    def watch(self, first_pid: int) -> None:
        """The kernel holds the limits."""

    def out_of_memory_kills(self) -> int:
        """The count of the user's group."""
        return self._counters.out_of_memory_kills()

    def usage(self) -> CellUsage:
        """The figures of each hierarchy; that for memory counts the directories below with it."""
        cpu_time = self._paths.get(_V1_CPU_TIME, self._paths["cpu"]) / "cpuacct.usage"
        return CellUsage(
            cpu_seconds=_number(cpu_time) / 1e9 if cpu_time.exists() else 0.0,
            memory_bytes=_number(self._paths["memory"] / "memory.usage_in_bytes"),
            process_count=_number(self._paths["pids"] / "pids.current"),
        )

    def cpu_seconds(self) -> float:
        """The counter of the directory above both."""
        return self._counters.cpu_seconds()

    def memory(self) -> MemoryUse:
        """The counters of the directory above both."""
        return MemoryUse(self._counters.memory_bytes(), self._counters.memory_peak_bytes())

    def was_at_limit(self) -> bool:
        """By the high-water mark, which writing lowers: newer kernels no longer count what they refuse."""
        mark = self._user / "memory.max_usage_in_bytes"
        most, limit = int(mark.read_text()), int((self._user / _V1_LIMIT).read_text())
        _write(mark, 0)
        return most > limit - _V1_LAST_REQUEST

    def remove(self) -> None:
        """Remove every directory."""
        self._counters.close()
        for path in (self._user, self._agent, *self._paths.values()):
            path.rmdir()


class V1Groups:
    """Groups in the separate hierarchies of version 1, below this process's own."""

    kind: Kind = "v1"

    def __init__(self, roots: dict[str, Path]) -> None:
        own = _own_name()
        self._parents = {name: root / own for name, root in roots.items()}

    def open(self) -> None:
        """Make the directories above the cells' groups; raises OSError when they are not writable."""
        for parent in self._parents.values():
            _sweep(parent.parent)
            parent.mkdir(exist_ok=True)

    def create(self, name: str, limits: GroupLimits) -> Group:
        """Make a group in each hierarchy; memory and swap together have the memory limit."""
        paths = {controller: parent / name for controller, parent in self._parents.items()}
        quota = int(limits.cpus * _CPU_PERIOD_MICROSECONDS)
        try:
            for path in paths.values():
                path.mkdir()
            for below, memory_bytes in ((_AGENT, limits.agent_memory_bytes), (_USER, limits.memory_bytes)):
                _limit_memory_v1(paths["memory"] / below, memory_bytes)
            _write(paths["pids"] / "pids.max", limits.process_count)
            _write(paths["cpu"] / "cpu.cfs_period_us", _CPU_PERIOD_MICROSECONDS)
            _write(paths["cpu"] / "cpu.cfs_quota_us", quota)
        except OSError as error:
            raise _not_made(name, error) from error
        return V1Group(paths)

    async def enforce(self) -> None:
        """The kernel holds the limits."""

    def close(self) -> None:
        """Remove the directories above the groups."""
        for parent in self._parents.values():
            if parent.exists():
                parent.rmdir()


def find_groups(setting: str) -> Groups:
    """The strongest kind this process may use; `setting` is "auto" or "none"."""
    if setting == "none":
        return SampledGroups()
    for candidate in (_version_2(), _version_1()):
        if candidate is not None:
            try:
                candidate.open()
            except OSError:
                _abandon(candidate)
            else:
                return candidate
    return SampledGroups()


def _limit_memory_v1(group: Path, memory_bytes: int) -> None:
    group.mkdir()
    _write(group / _V1_LIMIT, memory_bytes)
    if (group / _V1_WITH_SWAP).exists():
        _write(group / _V1_WITH_SWAP, memory_bytes)
    if (group / _V1_SOCKET_BUFFERS).exists():
        _write(group / _V1_SOCKET_BUFFERS, memory_bytes // 4)


def _not_made(group: Path | str, error: OSError) -> HostNotReady:
    return host_failed(f"cgroup {group} cannot be made: {error.strerror}", errno.errorcode.get(error.errno or 0, ""))


def _own_name() -> str:
    """With a token, since a process may run several nodes."""
    return f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}"


def _sweep(directory: Path) -> None:
    """Remove what servers left that were killed: groups named after a process that is no more."""
    for left in directory.glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.removeprefix(PREFIX).partition("-")[0]).exists():
            for group in (*left.glob("*/*/"), *left.glob("*/"), left):
                with contextlib.suppress(OSError):  # its last processes are still going; the next start finds it empty
                    group.rmdir()


def _abandon(groups: V2Groups | V1Groups) -> None:
    try:
        groups.close()
    except OSError:
        return  # what could not be made need not be removed; what another process uses stays


def _version_2() -> V2Groups | None:
    for point, kind, _ in _hierarchies():
        if kind == "cgroup2":
            delegation = Delegation(Path(point, _membership("").lstrip("/")))
            controllers = delegation.base / "cgroup.controllers"
            if controllers.exists() and set(_V2_CONTROLLERS) <= set(controllers.read_text().split()):
                return V2Groups(delegation)
    return None


def _version_1() -> V1Groups | None:
    roots: dict[str, Path] = {}
    for point, kind, options in _hierarchies():
        if kind == "cgroup":
            for controller in {*_V1_CONTROLLERS, _V1_CPU_TIME} & set(options.split(",")):
                roots[controller] = Path(point, _membership(controller).lstrip("/"))
    if roots.get(_V1_CPU_TIME) == roots.get("cpu"):
        roots.pop(_V1_CPU_TIME, None)  # one directory is made and left once
    return V1Groups(roots) if roots.keys() >= set(_V1_CONTROLLERS) else None


def _hierarchies() -> list[tuple[str, str, str]]:
    """(mount point, file-system type, super options) of every cgroup mount (proc(5), mountinfo)."""
    found: list[tuple[str, str, str]] = []
    for line in _MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind.startswith("cgroup"):
            found.append((before.split(" ")[4], kind, options))
    return found


def _membership(controller: str) -> str:
    """This process's path in the hierarchy of a controller; version 2 has the empty name (cgroups(7))."""
    for line in _MEMBERSHIP.read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path
    return "/"
