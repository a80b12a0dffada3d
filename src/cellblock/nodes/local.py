"""The cells of this machine: template, identities, control groups and links put together."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import itertools
import os
import secrets
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial

from cellblock.errors import CellDied, CellEnded, HostNotReady, host_failed
from cellblock.model.calls import (
    NO_GRANTS,
    Call,
    Cell,
    CellLimits,
    CellUsage,
    Download,
    Follower,
    Grants,
    MemoryUse,
    NodeState,
    ReadStream,
    ReplyT,
    Run,
    RunCode,
    ToolFailed,
)
from cellblock.nodes.granting import Granting, Prepared
from cellblock.nodes.link import CellLink
from cellblock.runtime.layout import Runtime
from cellblock.sandbox.cgroup import find_groups
from cellblock.sandbox.groups import Group, GroupLimits, Groups, Kind, NoGroup
from cellblock.sandbox.id_blocks import Blocks
from cellblock.sandbox.identity import Identity, IdentityRange
from cellblock.sandbox.network import Attachment, NetworkPlan, Networks, NoAttachment
from cellblock.sandbox.policy import Policy, default_policy
from cellblock.sandbox.processors import Processors
from cellblock.sandbox.supervisor import Spawned, SpawnRequest, Template, TemplatePlan, install_cell_code
from cellblock.sandbox.user_network import Joined, StackPlan
from cellblock.settings.table import Settings

_START_SECONDS = 30
_KILL_SECONDS = 10
_AGENT_BYTES = 256 * 1024 * 1024  # of an agent's memory beside the files it writes: the output of tasks, and what is on its way
_NO_CODE = RunCode(
    code="", language="python", runtime="python", clear_context=False, timeout_seconds=_START_SECONDS, output_bytes=_AGENT_BYTES
)
_UNCOUNTED_CALLS = ("memfd_create", "shmget")  # memory that belongs to no process and no directory, which sampling does not see


@dataclass(slots=True)
class _Parts:
    """What a cell holds of the host, let go of in one place when it ends or never began."""

    identities: IdentityRange
    identity: Identity
    processors: Processors
    bound_to: tuple[int, ...]
    group: Group = field(default_factory=NoGroup)
    spawned: Spawned | None = None
    link: CellLink | None = None
    network: Attachment = field(default_factory=NoAttachment)
    cpu_seconds: float = 0.0
    last_memory: MemoryUse | None = None
    at_end: Callable[[], Awaitable[None]] | None = None

    def read_cpu_seconds(self) -> float:
        """As the group says, and what it said last when it says nothing any more."""
        with contextlib.suppress(OSError):
            self.cpu_seconds = max(self.cpu_seconds, self.group.cpu_seconds())
        return self.cpu_seconds

    def kill(self) -> None:
        """Kill PID 1, and with it everything in the cell's PID namespace (pid_namespaces(7))."""
        if self.spawned is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.spawned.pidfd, signal.SIGKILL)

    async def release(self) -> None:
        """Kill, wait until the kernel says that nothing is left, give everything back."""
        self.read_cpu_seconds()
        self.kill()
        if self.spawned is not None:
            await _wait_readable(self.spawned.pidfd)
            os.close(self.spawned.pidfd)
            if self.link is None:
                self.spawned.link.close()
        if self.link is not None:
            self.link.close()
        await self.network.close()  # it may be in the cell's control groups
        if self.at_end is not None:
            await self.at_end()
        self.read_cpu_seconds()  # a control group has the time of those that have ended; a sampled one knew it before
        with contextlib.suppress(OSError):
            self.last_memory = self.group.memory()
        try:
            self.group.remove()
        finally:
            self.identities.give_back(self.identity)
            self.processors.give_back(self.bound_to)


@dataclass(frozen=True, slots=True)
class _Contents:
    """What a cell is made with."""

    limits: CellLimits
    granted: Prepared
    network: NetworkPlan


async def _wait_readable(pidfd: int) -> None:
    """A pidfd is readable when its process has ended, PID 1 only after all others of its namespace (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(_KILL_SECONDS):
            await ended.wait()
    finally:
        loop.remove_reader(pidfd)


class LocalCell:
    """A cell of this machine."""

    def __init__(self, name: str, parts: _Parts, limits: CellLimits) -> None:
        self._name = name
        self._parts = parts
        self._limits = limits
        self._known_kills = 0
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._closing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """Unique on its node."""
        return self._name

    @property
    def pid(self) -> int:
        """Host process id of the cell's first process, for tests and for operators."""
        return self._parts.spawned.pid if self._parts.spawned else 0

    async def begin(self) -> None:
        """Wait until the clone is confined and its first kernel runs; raises HostNotReady."""
        assert self._parts.spawned is not None
        self._parts.link = await CellLink.open(self._parts.spawned.link, self._lost)
        await self._parts.link.wait_ready(_START_SECONDS)
        await self._parts.network.wait_ready()

    async def call(self, request: Call[ReplyT]) -> ReplyT:
        """See `Cell.call`."""
        return self._explained(await self._open_link().call(request))

    async def follow(self, request: Call[ReplyT], follower: Follower) -> ReplyT:
        """See `Cell.follow`."""
        return self._explained(await self._open_link().follow(request, follower))

    async def warm_up(self) -> None:
        """See `Cell.warm_up`: the pages that its agent and its kernel write to at every call are then copied (fork(2): copy on write)."""
        with contextlib.suppress(CellEnded, ToolFailed):  # whoever takes the cell is told
            await self._open_link().call(_NO_CODE)

    def download(self, path: str) -> AbstractAsyncContextManager[Download]:
        """See `Cell.download`."""
        return self._open_link().download(ReadStream(path))

    def cpu_seconds(self) -> float:
        """See `Cell.cpu_seconds`."""
        return self._parts.read_cpu_seconds()

    def memory(self) -> MemoryUse | None:
        """See `Cell.memory`."""
        try:
            return self._parts.last_memory if self._closing is not None else self._parts.group.memory()
        except OSError:
            return None  # its group was removed meanwhile

    def usage(self) -> CellUsage | None:
        """See `Cell.usage`."""
        if self._closing is not None:
            return None
        try:
            return self._parts.group.usage()
        except OSError:
            return None  # its group was removed meanwhile

    async def close(self) -> None:
        """See `Cell.close`."""
        await self._end("it was closed")

    async def wait_ended(self) -> str:
        """See `Cell.wait_ended`."""
        return await asyncio.shield(self._ended)

    def _open_link(self) -> CellLink:
        if self._closing is not None or self._parts.link is None:
            raise CellEnded(self._ended.result() if self._ended.done() else "it was closed")
        return self._parts.link

    def _explained(self, reply: ReplyT) -> ReplyT:
        """Say that memory was the reason when a process was killed for it since the last run; the agent cannot know."""
        if not isinstance(reply, Run) or self._closing is not None:
            return reply  # when it is closing, its group may be gone
        kills = self._parts.group.out_of_memory_kills()
        if kills <= self._known_kills:
            return reply
        self._known_kills = kills
        limit = f"The session reached its memory limit of {self._limits.memory_bytes // 1024**2} MB"
        reason = limit if self._parts.group.was_at_limit() else "The machine ran out of memory, within the session's limit,"
        return dataclasses.replace(reply, note=f"{reason} and its largest process was killed. {reply.note}".rstrip())

    async def _end(self, reason: str) -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._parts.release(), name=f"release {self._name}")
            if not self._ended.done():
                self._ended.set_result(reason)
        await asyncio.shield(self._closing)

    def _lost(self, reason: str) -> None:
        """The agent is gone: say why as well as the kernel's counters tell."""
        if self._ended.done():
            return
        self._ended.set_result(reason)
        self._closing = asyncio.create_task(self._parts.release(), name=f"release {self._name}")


class LocalNode:
    """This machine. Starts one template, again when it has died, and opens cells from it."""

    def __init__(self, settings: Settings, runtime: Runtime, policy: Policy | None = None) -> None:
        self._settings = settings
        self._runtime = runtime
        self._code = install_cell_code(settings.cache_dir)
        self._granting = Granting(settings, self._code)
        self._policy = policy or policy_for(settings, runtime)
        self._identities = IdentityRange(base=settings.uid_base, count=settings.uid_count, blocks=Blocks(settings.cache_dir / "ids"))
        self._processors = Processors()
        self._networks = Networks(settings, self._stack_plan())
        self._groups: Groups | None = None
        self._enforcing: asyncio.Task[None] | None = None
        self._template: Template | None = None
        self._starting = asyncio.Lock()  # guards _template: two openings may both find it dead
        self._has_run_code = False
        self._numbers = itertools.count(1)
        self._prefix = secrets.token_hex(4)
        self._cells: dict[LocalCell, asyncio.Task[None]] = {}

    @property
    def template_pid(self) -> int | None:
        """Process id of the template while it runs."""
        return self._template.pid if self._template else None

    @property
    def group_kind(self) -> Kind:
        """Which control groups are in force."""
        return self._groups.kind if self._groups else "none"

    async def start(self) -> None:
        """See `Node.start`."""
        self._identities.have_some()
        self._groups = find_groups(self._settings.cgroup)
        if self._groups.kind == "none":
            self._policy = dataclasses.replace(self._policy, denied_calls=(*self._policy.denied_calls, *_UNCOUNTED_CALLS))
        try:
            await self._live_template()
        except HostNotReady:
            self._groups.close()
            self._identities.close()
            raise
        self._enforcing = asyncio.create_task(self._groups.enforce(), name="hold limits")

    async def close(self) -> None:
        """See `Node.close`."""
        await asyncio.gather(*(cell.close() for cell in list(self._cells)))
        await self._granting.close()
        if self._enforcing is not None:
            self._enforcing.cancel()
            await asyncio.gather(self._enforcing, return_exceptions=True)
        await self._networks.close()
        if self._template is not None:
            await self._template.close()
        self._identities.close()
        if self._groups is not None:
            self._groups.close()

    def state(self) -> NodeState:
        """See `Node.state`."""
        return NodeState(self.template_pid, self.group_kind)

    async def open_cell(self, limits: CellLimits, grants: Grants = NO_GRANTS) -> Cell:
        """See `Node.open_cell`."""
        assert self._groups is not None
        name = f"{self._prefix}-{next(self._numbers)}"
        parts = _Parts(self._identities, self._identities.take(), self._processors, self._processors.take(limits.cpus))
        cell = LocalCell(name, parts, limits)
        try:
            parts.group = self._groups.create(name, _group_limits(limits))
            host_ids = self._identities.host_ids(parts.identity)
            with self._networks.planned(limits.network) as network:
                async with self._granting.prepared(grants, host_ids) as granted:
                    await self._spawn(name, parts, _Contents(limits, granted, network))
                    parts.group.watch(cell.pid)
                    await self._attach(name, parts, network)
                    await cell.begin()
                    await self._try_out(cell)
                    parts.at_end = partial(self._granting.end, grants)
                    await self._granting.connect(granted)
        except OSError as error:
            await cell.close()
            raise host_failed(f"a cell could not be opened: {error}", errno.errorcode.get(error.errno or 0, "")) from error
        except BaseException:
            await cell.close()
            raise
        self._cells[cell] = asyncio.create_task(self._forget(cell), name=f"watch {name}")
        return cell

    async def _try_out(self, cell: LocalCell) -> None:
        """A cell is open before its kernel is: the first one shows that this host lets code run. Raises HostNotReady."""
        if self._has_run_code:
            return
        try:
            ran = await cell.call(_NO_CODE)
        except CellEnded as error:
            raise CellDied(f"a cell died while it started: {error.reason}") from error
        except ToolFailed as error:
            raise HostNotReady(f"a cell cannot run code: {error}") from error
        if ran.outcome != "done":
            raise HostNotReady(f"a cell cannot run code: {ran.note}")
        self._has_run_code = True

    async def _attach(self, name: str, parts: _Parts, plan: NetworkPlan) -> None:
        assert parts.spawned is not None
        cell = Joined(name, parts.spawned.pid, parts.spawned.pidfd, parts.group.open_members)
        parts.network = await self._networks.attach(plan, cell)

    async def _spawn(self, name: str, parts: _Parts, contents: _Contents) -> None:
        """Clone the template; who gives up waits for the clone all the same, since it is in the group that is to be removed."""
        cloning = asyncio.create_task(self._clone(name, parts, contents), name=f"clone {name}")
        try:
            await asyncio.shield(cloning)
        except asyncio.CancelledError:
            await asyncio.wait({cloning}, timeout=_KILL_SECONDS)
            cloning.cancel()
            raise

    async def _clone(self, name: str, parts: _Parts, contents: _Contents) -> None:
        """A clone of the template for `parts`; of a new one when the template dies while it is asked."""
        template = await self._live_template()
        members, entrance = parts.group.open_members(), parts.group.open_entrance()
        uses = [
            *(("group", one) for one in members),
            *(("entrance", one) for one in entrance),
            *contents.granted.descriptors,
            *contents.network.descriptors,
        ]
        request = SpawnRequest(
            name=name,
            identity=parts.identity,
            sizes=self._sizes(contents.limits),
            processors=parts.bound_to,
            descriptors=tuple(uses),
            environment=contents.granted.environment,
            ports=contents.granted.ports,
            mounts=contents.granted.mounts,
            writable_mounts=contents.granted.writable_mounts,
            network=contents.network.message(),
        )
        try:
            parts.spawned = await template.spawn(request)
        except HostNotReady:
            if template.is_serving:
                raise
            parts.spawned = await (await self._live_template()).spawn(request)
        finally:
            for descriptor in (*members, *entrance):
                os.close(descriptor)

    def _sizes(self, limits: CellLimits) -> dict[str, int]:
        return {
            "memory_bytes": limits.memory_bytes,
            "workspace_bytes": limits.workspace_bytes,
            "tmp_bytes": limits.tmp_bytes,
            "process_count": limits.process_count,
            "open_files": self._settings.open_files,
        }

    async def _forget(self, cell: LocalCell) -> None:
        await cell.wait_ended()
        await cell.close()
        self._cells.pop(cell, None)

    async def _live_template(self) -> Template:
        async with self._starting:
            if self._template is not None and self._template.is_serving:
                return self._template
            if self._template is not None:
                await self._template.close()
            self._template = Template(self._plan(), self._identities)
            await self._template.start()
            return self._template

    def _stack_plan(self) -> StackPlan:
        owner = self._identities.template_id if self._identities.is_privileged else None
        return StackPlan(code=self._code, owner=owner)

    def _plan(self) -> TemplatePlan:
        cache = self._settings.cache_dir
        staging = cache / "root"
        staging.mkdir(parents=True, exist_ok=True)
        return TemplatePlan(
            policy=self._policy,
            base_python=self._runtime.base.executable,
            code=self._code,
            staging=staging,
            preload=self._settings.preload,
            rest_seconds=self._settings.rest_seconds,
        )


def policy_for(settings: Settings, runtime: Runtime) -> Policy:
    """The policy of this machine's cells."""
    code = install_cell_code(settings.cache_dir)
    return default_policy(runtime=runtime.path, code=code, base_prefix=str(runtime.base.prefix))


def _group_limits(limits: CellLimits) -> GroupLimits:
    return GroupLimits(
        memory_bytes=limits.memory_bytes,
        agent_memory_bytes=limits.workspace_bytes + _AGENT_BYTES,
        process_count=limits.process_count,
        cpus=limits.cpus,
    )
