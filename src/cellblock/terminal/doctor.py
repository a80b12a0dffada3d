"""What a host needs for cells: tried out, with what is missing, what that costs, and the command that mends it."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cellblock.errors import CommandFailed, HostNotReady
from cellblock.machine.descriptors import OWN, PER_SESSION, sessions_within
from cellblock.model.calls import RunCode
from cellblock.nodes.local import LocalNode
from cellblock.runtime import builds
from cellblock.runtime.layout import Runtime
from cellblock.sandbox import network_stacks
from cellblock.sandbox.cgroup import find_groups
from cellblock.sandbox.groups import Kind
from cellblock.sandbox.sampling import SWEEP_SECONDS, TICK_SECONDS
from cellblock.sessions.interpreter_limits import cell_limits
from cellblock.settings.table import Settings
from cellblock.store.opening import open_store

PROBE = Path(__file__).with_name("doctor_probe.py")
PROBE_SECONDS = 20
RUNTIME_BYTES = 4 * 1024**3  # with what its build needs for a while
FREE_BYTES = 1024**3
_KINDS: dict[Kind, str] = {
    "v1": "version 1: memory, processes and CPU time of each session are bounded by the kernel",
    "v2": "version 2, delegated: memory, processes and CPU time of each session are bounded by the kernel",
    "none": "none that this user may write: sampling",
}
RESTRICTION = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. When it is not `ok`: what that costs, and the command that mends it."""

    name: str
    ok: bool
    found: str
    cost: str = ""
    mend: str = ""
    is_needed: bool = True  # cells cannot run without it

    @property
    def is_fatal(self) -> bool:
        """Whether cells cannot run for this."""
        return self.is_needed and not self.ok


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one after the other; takes some seconds."""
    yield _user_namespaces()
    yield _apparmor()
    yield _overlay()
    yield _seccomp()
    yield _landlock()
    yield _control_groups(settings)
    yield _memory_at_rest(settings)
    yield _open_files(settings)
    yield _disk(settings)
    built = _built_runtime(settings)
    yield _runtime(built)
    yield _fonts(built)
    yield _user_network()
    yield _packet_rules()
    yield _core_dumps()
    yield _cell(settings, built)
    if settings.store:
        yield database(settings)


def _user_namespaces() -> Finding:
    ok, found = _probe("namespaces")
    return Finding(
        name="namespaces",
        ok=ok,
        found=found,
        cost="cells cannot run: each lives in namespaces of its own",
        mend=_namespaces_mend(),
    )


def _namespaces_mend() -> str:
    if _is_restricted():
        return "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    if _reads("/proc/sys/kernel/unprivileged_userns_clone", "0"):
        return "sudo sysctl kernel.unprivileged_userns_clone=1"
    if _reads("/proc/sys/user/max_user_namespaces", "0"):
        return "sudo sysctl user.max_user_namespaces=65536"
    return (
        "in a container, start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined, or as root with --privileged"
    )


def _apparmor() -> Finding:
    restricted = _is_restricted() and os.geteuid() != 0
    return Finding(
        name="AppArmor",
        ok=not restricted,
        found="takes the rights from ordinary users' namespaces" if restricted else "does not restrict user namespaces of this user",
        cost="cells cannot mount their files: the restriction is Ubuntu's default since 23.10",
        mend="echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-cellblock.conf && sudo sysctl --system",
    )


def _overlay() -> Finding:
    ok, found = _probe("overlay")
    return Finding(
        name="overlay",
        ok=ok,
        found=found,
        cost="cells cannot run: their libraries are a layer over the shared runtime",
        mend="sudo modprobe overlay   (Linux 5.11 or newer)",
    )


def _seccomp() -> Finding:
    ok, found = _probe("seccomp")
    return Finding(
        name="seccomp",
        ok=ok,
        found=found,
        cost="cells cannot run: their system calls must be filtered",
        mend="use a kernel with CONFIG_SECCOMP_FILTER",
    )


def _landlock() -> Finding:
    ok, found = _probe("landlock")
    return Finding(
        name="Landlock",
        ok=ok,
        found=found,
        cost="one fence less around files; the mount namespace stays",
        mend="add landlock to the lsm= list of the kernel's command line (Linux 5.13 or newer)",
        is_needed=False,
    )


def _control_groups(settings: Settings) -> Finding:
    groups = find_groups(settings.cgroup)
    try:
        kind = groups.kind
    finally:
        groups.close()
    return Finding(
        name="control groups",
        ok=kind != "none",
        found=_KINDS[kind],
        cost=f"memory is measured, and the largest process killed, some {TICK_SECONDS * 1000:.0f} ms to {SWEEP_SECONDS:g} s after a session"
        " passes its limit; buffers of pipes and sockets are not counted; CPU time is bounded by the session's processors alone;"
        " as an ordinary user, processes are bounded for each session by its user namespace (Linux 5.14 or newer)",
        mend="systemd-run --user --scope --property=Delegate=yes cellblock serve",
        is_needed=False,
    )


def _memory_at_rest(settings: Settings) -> Finding:
    ok, found = _probe("memory_at_rest") if settings.rest_seconds else (True, "switched off: CELLBLOCK_REST_SECONDS is 0")
    return Finding(
        name="memory at rest",
        ok=ok,
        found=found,
        cost="a session in which nothing happens keeps its memory: some 3.5 MB more than it needs",
        mend="use Linux 5.13 or newer on x86_64, without ulimit -v, and with sysctl vm.overcommit_memory=0",
        is_needed=False,
    )


def _open_files(settings: Settings) -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = OWN + PER_SESSION * settings.max_sessions
    return Finding(
        name="open files",
        ok=hard >= needed,
        found=f"{hard} at most, enough to start {sessions_within(hard)} sessions at one moment",
        cost=f"starting {settings.max_sessions} sessions at one moment, which the quota allows, can fail",
        mend=f"ulimit -Hn {needed}, or LimitNOFILE={needed} in the service's unit",
        is_needed=False,
    )


def _disk(settings: Settings) -> Finding:
    place = _existing(settings.cache_dir)
    free = shutil.disk_usage(place).free
    needed = FREE_BYTES if _built_runtime(settings) else RUNTIME_BYTES
    return Finding(
        name="disk",
        ok=free >= needed,
        found=f"{free / 1024**3:.1f} GB free in {place}",
        cost=f"the runtime needs {needed / 1024**3:.0f} GB there",
        mend="export CELLBLOCK_CACHE_DIR=/a/place/with/more",
    )


def _runtime(built: Runtime | None) -> Finding:
    return Finding(
        name="runtime",
        ok=built is not None,
        found=f"{built.key} with Python {built.base.version}" if built else "not built",
        cost="the first start builds it, which takes minutes and the network",
        mend="cellblock runtime build",
        is_needed=False,
    )


def _fonts(built: Runtime | None) -> Finding:
    fonts = built.path / "fonts" if built else None
    count = sum(1 for path in fonts.rglob("*") if path.suffix in {".ttf", ".otf", ".ttc", ".woff2"}) if fonts else 0
    return Finding(
        name="fonts",
        ok=count > 0,
        found=f"{count} files in the runtime",
        cost="plots show boxes for Chinese, Japanese, Korean and emoji",
        mend="cellblock runtime build",
        is_needed=False,
    )


def _user_network() -> Finding:
    stack = network_stacks.SLIRP4NETNS
    reason = stack.missing()
    return Finding(
        name="user network",
        ok=not reason,
        found=reason or f"{stack.name} gives sessions of network mode PUBLIC the internet",
        cost="sessions of network mode PUBLIC have a proxy for HTTP, HTTPS and SOCKS 5, which clients must know of: no UDP, no name server,"
        " no plain sockets; SANDBOX needs none",
        mend=f"sudo apt install {stack.name} && sudo modprobe tun && sudo chmod 0666 {network_stacks.TUN}",
        is_needed=False,
    )


def _packet_rules() -> Finding:
    ok, found = _probe("packet_rules")
    return Finding(
        name="packet rules",
        ok=ok,
        found=found,
        cost="sessions of network mode PUBLIC cannot start with a user-mode network: private addresses could not be closed to them",
        mend="sudo modprobe nf_tables, or export CELLBLOCK_USER_NETWORK=proxy",
        is_needed=False,
    )


def _core_dumps() -> Finding:
    pattern = CORE_PATTERN.read_text().strip()
    return Finding(
        name="core dumps",
        ok=not pattern.startswith("|"),
        found=f"kernel.core_pattern is {pattern}",
        cost="a crash in a cell runs that program on this machine, with the memory of hostile code as its input",
        mend="sudo sysctl kernel.core_pattern=core",
        is_needed=False,
    )


def database(settings: Settings) -> Finding:
    """Whether the machine reaches it, and has the key that all machines at it have."""
    try:
        problem = asyncio.run(_try_database(settings))
    except CommandFailed as error:
        problem = str(error)
    return Finding(
        name="database",
        ok=not problem,
        found=problem or "PostgreSQL answers, and its secrets open with this machine's key",
        cost="the server does not start",
        mend="see docs/operating.md, PostgreSQL",
    )


async def _try_database(settings: Settings) -> str:
    """The empty string when all is well, else what is not."""
    store = await open_store(settings)
    try:
        return await store.secrets_problem()
    finally:
        await store.close()


def _cell(settings: Settings, built: Runtime | None) -> Finding:
    """The proof: a real cell, opened as the server opens it."""
    problem = "not tried: it needs the runtime"
    if built is not None:
        try:
            problem = asyncio.run(_try_cell(LocalNode(settings, built), settings))
        except HostNotReady as error:
            problem = error.message
    return Finding(
        name="a cell",
        ok=not problem,
        found=problem or "was opened and ran Python",
        cost="sessions cannot start" if built else "whether sessions start is not known yet",
        mend="mend what is missing above" if built else "cellblock runtime build",
        is_needed=built is not None,
    )


async def _try_cell(node: LocalNode, settings: Settings) -> str:
    """The empty string when code runs, else what happened."""
    await node.start()
    try:
        cell = await node.open_cell(cell_limits(settings))
        question = RunCode(
            code="print(6 * 7)", language="python", runtime="python", clear_context=False, timeout_seconds=PROBE_SECONDS, output_bytes=1000
        )
        answer = await cell.call(question)
    finally:
        await node.close()
    return "" if answer.stdout == b"42\n" else f"code did not run: {answer.note or answer.stderr.decode(errors='replace')}"


def _probe(name: str) -> tuple[bool, str]:
    try:
        done = subprocess.run([sys.executable, "-I", str(PROBE), name], capture_output=True, text=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {PROBE_SECONDS} s"
    said = (done.stdout or done.stderr).strip()
    return done.returncode == 0, said.splitlines()[-1] if said else f"the probe ended with status {done.returncode}"


def _built_runtime(settings: Settings) -> Runtime | None:
    try:
        return builds.find(settings)
    except HostNotReady:
        return None


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _is_restricted() -> bool:
    return _reads(str(RESTRICTION), "1")


def _reads(path: str, value: str) -> bool:
    try:
        return Path(path).read_text().strip() == value
    except OSError:
        return False
