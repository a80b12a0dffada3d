"""The steps that turn a fresh clone of the template into a cell, in order; each one is fatal when it fails."""

from __future__ import annotations

import base64
import errno
import gc
import os
import resource
import signal
import socket
from dataclasses import dataclass
from typing import Any

from cellblock_cell import agent, granted, linux, packet_filter
from cellblock_cell.entrance import Entrance
from cellblock_cell.likeness import NO_LIKENESSES, Likenesses
from cellblock_cell.link import Frame, Kind, encode
from cellblock_cell.linux import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from cellblock_cell.network import CellNetwork
from cellblock_cell.pages import OwnMemory
from cellblock_cell.rootfs import EMPTY, PROCESSOR_LISTS, PROCESSORS

# the cgroup namespace is not among them: it takes as root the cgroup that the clone joins
_NAMESPACE_FLAGS = {
    "user": linux.CLONE_NEWUSER,
    "pid": linux.CLONE_NEWPID,
    "mount": linux.CLONE_NEWNS,
    "network": linux.CLONE_NEWNET,
    "ipc": linux.CLONE_NEWIPC,
    "uts": linux.CLONE_NEWUTS,
}
USER = 1000
WORKSPACE = "/workspace"
_SCRATCH = "/run/cell"
_SIGNALS = 1024  # queued signals and timers; the kernel counts them for the maker of the user namespace too
_NOTIFIERS = {"max_inotify_instances": 16, "max_inotify_watches": 16384}  # counted in the same way; a user of the host may have 128
_LIMIT_SHOWN = ("MemTotal", "MemFree", "MemAvailable")
_NOTHING_SHOWN = ("Buffers", "Cached", "SwapCached", "Active", "Inactive", "SwapTotal", "SwapFree", "Shmem", "SReclaimable")
_TERMINALS = 256  # all users of the machine share kernel.pty.max, 4096 by default


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpec:
    """What differs from cell to cell; sizes in bytes, maps as user_namespaces(7) writes them."""

    name: str
    uid_map: str
    gid_map: str
    may_set_groups: bool
    workspace_bytes: int
    tmp_bytes: int
    memory_bytes: int
    process_count: int
    open_files: int
    processors: list[int]
    environment: dict[str, str]  # beside the policy's
    ports: list[int]  # of loopback, at which the host answers
    mounts: list[str]  # names below /mnt, in the order of their descriptors
    writable_mounts: list[str]
    network: CellNetwork

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> CellSpec:
        """The specification as the supervisor sends it."""
        return cls(**message | {"network": CellNetwork.from_message(message["network"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPolicy:
    """What all cells have in common."""

    namespaces: tuple[str, ...]
    steps: tuple[str, ...]
    runtime: str
    shared_runtime: str
    hostname: str
    inodes: int
    masked_files: tuple[str, ...]
    masked_directories: tuple[str, ...]
    read_only: tuple[str, ...]
    writable: tuple[str, ...]
    landlock: bool
    seccomp: linux.Filter
    environment: dict[str, str]

    @property
    def clone_flags(self) -> int:
        """The namespaces that the clone itself makes."""
        return sum(_NAMESPACE_FLAGS[name] for name in self.namespaces if name in _NAMESPACE_FLAGS)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> CellPolicy:
        """The policy as the supervisor sends it: lists for tuples, base64 for the filter."""
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in message.items()}
        values["seccomp"] = linux.Filter(base64.b64decode(values.pop("seccomp_program")))
        return cls(**values)


class Confinement:
    """The steps, as methods; the policy lists them in their order."""

    def __init__(self, spec: CellSpec, policy: CellPolicy, given: Given) -> None:
        self._spec = spec
        self._policy = policy
        self._given = given

    def become_user(self) -> None:
        """The maps are written: take the one id the cell runs as; the namespace's capabilities stay until they are dropped."""
        if self._spec.may_set_groups:
            os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)

    def take_namespaces(self) -> None:
        """Own keyring, cgroup root and host name.

        Without ids of their own, cells share the template's keyring, which is empty and no host's: a user may have
        200 keys in all (keyrings(7)).
        """
        if self._spec.may_set_groups:
            linux.join_new_session_keyring()
        linux.unshare(linux.CLONE_NEWCGROUP)
        linux.set_hostname(self._policy.hostname)

    def raise_loopback(self) -> None:
        """The one interface of a network namespace that has no other."""
        linux.loopback_up()

    def offer_ports(self) -> None:
        """The host's own services for this session, where it has any."""
        for services in self._given.services:
            granted.offer_ports(self._spec.ports, services)
        for proxy in self._given.proxy:
            granted.offer_ports(self._spec.network.ports, proxy)

    def close_addresses(self) -> None:
        """What the host says of packets that leave; without the capabilities that go below nobody takes it back."""
        if self._spec.network.rules:
            packet_filter.install(self._spec.network.rules)

    def mount_process_files(self) -> None:
        """A proc of this PID namespace over the outer one, with what names the host masked (proc(5))."""
        linux.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        for name, most in _NOTIFIERS.items():
            linux.write_file(f"/proc/sys/user/{name}", str(most))
        for path in self._policy.read_only:
            linux.bind(path, path, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
        for path in self._policy.masked_files:
            linux.cover("/dev/null", path, flags=MS_BIND)
        for path in self._policy.masked_directories:
            linux.cover(EMPTY, path, flags=MS_BIND)  # as read-only as the root that it is part of, and so are the processors
        linux.bind(f"{PROCESSOR_LISTS}/{len(self._spec.processors)}", PROCESSORS)

    def mount_writable_files(self) -> None:
        """The places the cell may write to, each a tmpfs with a bound on bytes and inodes (tmpfs(5))."""
        workspace = f"size={self._spec.workspace_bytes},nr_inodes={self._policy.inodes},mode=755"
        tmp = f"size={self._spec.tmp_bytes},nr_inodes={self._policy.inodes}"
        linux.mount("workspace", WORKSPACE, "tmpfs", MS_NOSUID | MS_NODEV, workspace)
        linux.mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"{tmp},mode=1777")
        linux.mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"{tmp},mode=1777")
        linux.mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, f"newinstance,ptmxmode=0666,mode=0620,max={_TERMINALS}")
        linux.mount("scratch", _SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, f"{tmp},mode=700")
        for name in ("home", "upper", "work"):
            os.mkdir(f"{_SCRATCH}/{name}")
        linux.mount(f"{_SCRATCH}/home", "/home/cell", flags=MS_BIND)
        self._show_memory()

    def _show_memory(self) -> None:
        """Programs that size themselves by the machine's memory find the limit."""
        shown = f"{_SCRATCH}/meminfo"
        values = dict.fromkeys(_LIMIT_SHOWN, self._spec.memory_bytes // 1024) | dict.fromkeys(_NOTHING_SHOWN, 0)
        linux.write_file(shown, "".join(f"{name + ':':<16}{kilobytes:>8} kB\n" for name, kilobytes in values.items()))
        linux.bind(shown, "/proc/meminfo", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

    def describe_network(self) -> None:
        """Over the files that say there is no network, those that name this cell's."""
        for number, (path, text) in enumerate(self._spec.network.files.items()):
            own = f"{_SCRATCH}/network-{number}"
            linux.write_file(own, text)
            linux.bind(own, path, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)

    def mount_runtime(self) -> None:
        """Packages may be installed over the shared runtime; what is written stays in this cell (overlayfs, userxattr)."""
        runtime = self._policy.runtime
        layers = f"lowerdir={self._policy.shared_runtime},upperdir={_SCRATCH}/upper,workdir={_SCRATCH}/work,userxattr"
        linux.mount("runtime", runtime, "overlay", MS_NOSUID | MS_NODEV, layers)

    def hide_scratch(self) -> None:
        """The overlay keeps its layers; nobody reaches them, or /run, by name."""
        linux.mount(EMPTY, "/run", flags=MS_BIND)

    def mount_granted_files(self) -> None:
        """Directories of the host and certificates, where the session has any."""
        if self._spec.mounts:
            granted.attach_mounts(self._spec.mounts, self._given.mounts)
        for certificates in self._given.certificates:
            granted.keep_certificates(certificates)

    def set_limits(self) -> None:
        """What setrlimit(2) can bound, and the processors to use; memory and the share of time are the cgroup's."""
        os.sched_setaffinity(0, self._spec.processors)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._spec.open_files, self._spec.open_files))
        resource.setrlimit(resource.RLIMIT_NPROC, (self._spec.process_count, self._spec.process_count))
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
        file_bytes = self._spec.workspace_bytes + self._spec.tmp_bytes  # more than fits: who writes on is told that the disk is full
        if not self._spec.writable_mounts:  # a directory of the host may take larger ones
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (_SIGNALS, _SIGNALS))

    def give_up_rights(self) -> None:
        """No new privileges, then no capabilities: the order lets nothing regain what the next line drops."""
        linux.no_new_privileges()
        linux.drop_capabilities()
        linux.prctl(linux.PR_SET_DUMPABLE, 0)

    def fence_files(self) -> None:
        """Landlock repeats the mount table's promise in the kernel's own words, where the kernel has it (landlock(7))."""
        abi = linux.landlock_abi() if self._policy.landlock else 0
        if abi:
            handled, scoped = _landlock_rights(abi)
            everywhere = _LANDLOCK_READ & handled
            writable = (*self._policy.writable, *(f"{granted.MOUNTS}/{name}" for name in self._spec.writable_mounts))
            linux.landlock_restrict(handled, scoped, {"/": everywhere, **dict.fromkeys(writable, handled)})

    def filter_system_calls(self) -> None:
        """Last, because the steps above need what it denies."""
        self._policy.seccomp.load()


# landlock(7): execute, read file, read directory; ioctl on devices is granted with reading because /dev holds harmless ones only
_LANDLOCK_READ = 1 << 0 | 1 << 2 | 1 << 3
_LANDLOCK_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_LANDLOCK_SCOPES_ABI, _LANDLOCK_SCOPES = 6, 1 << 0 | 1 << 1  # abstract Unix sockets, signals


def _landlock_rights(abi: int) -> tuple[int, int]:
    return _LANDLOCK_RIGHTS_BY_ABI[min(abi, 5)], _LANDLOCK_SCOPES if abi >= _LANDLOCK_SCOPES_ABI else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Descriptors that the host gives to one cell, by what they are for; a tuple has one item or none, of mounts any number."""

    link: socket.socket
    groups: tuple[int, ...]
    entrance: Entrance
    services: tuple[int, ...]
    proxy: tuple[int, ...]
    certificates: tuple[int, ...]
    mounts: tuple[int, ...]

    @classmethod
    def from_message(cls, uses: list[str], descriptors: list[int]) -> Given:
        """What came with a request, whose message says what each descriptor is for."""
        found: dict[str, tuple[int, ...]] = dict.fromkeys(("link", "group", "entrance", "services", "proxy", "certificates", "mount"), ())
        for use, descriptor in zip(uses, descriptors, strict=True):
            found[use] += (descriptor,)
        return cls(
            link=socket.socket(fileno=found["link"][0]),
            groups=found["group"],
            entrance=Entrance(*found["entrance"]),
            services=found["services"],
            proxy=found["proxy"],
            certificates=found["certificates"],
            mounts=found["mount"],
        )

    def keep_only(self) -> None:
        """Close everything else that this process has open."""
        entrance = () if self.entrance.descriptor is None else (self.entrance.descriptor,)
        linux.close_all_but(self.link.fileno(), *entrance, *self.services, *self.proxy, *self.certificates, *self.mounts)


def enter(spec: CellSpec, policy: CellPolicy, given: Given, maps_written: int, likenesses: Likenesses = NO_LIKENESSES) -> int:
    """Confine this process, then serve as the cell's PID 1; the exit status. A step that fails is told to the host."""
    link = given.link
    step = "join_groups"
    try:
        _join_groups(given.groups)
        if not os.read(maps_written, 1):
            return 0  # the template died
        _forget_template(given)
        memory = OwnMemory() if likenesses.agent else None
        confinement = Confinement(spec, policy, given)
        for step in policy.steps:
            getattr(confinement, step)()
    except OSError as error:
        message = f"{step}: {error.filename or ''}: {error.strerror}"
        kind = errno.errorcode.get(error.errno or 0, "")
        link.sendall(encode(Frame(Kind.RESULT, 0, {"error": {"kind": kind, "message": message}})))
        return 71
    gc.enable()
    environment = {**policy.environment, **spec.network.environment, **spec.environment}
    config = agent.AgentConfig(
        workspace=WORKSPACE,
        runtime=policy.runtime,
        environment=environment,
        entrance=given.entrance,
        likenesses=likenesses,
        memory=memory,
    )
    return agent.serve(config, link)


def _join_groups(descriptors: tuple[int, ...]) -> None:
    """A process that moves itself needs no lock on all forks of the machine, which moving another one takes (cgroups(7))."""
    for descriptor in descriptors:
        os.write(descriptor, b"0")


def _forget_template(given: Given) -> None:
    """Nothing of the template's descriptors or signal handling reaches the cell."""
    given.keep_only()
    for number in (signal.SIGINT, signal.SIGCHLD):
        linux.set_signal(number, linux.DEFAULT_HANDLER)
