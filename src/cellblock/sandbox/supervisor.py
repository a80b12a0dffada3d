"""Starts the template process and asks it for cells; the host's side of `cellblock_cell.launch` and `.template`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cellblock_cell
from cellblock.errors import CellDied, HostIsFull, HostNotReady, host_failed
from cellblock.sandbox import seccomp
from cellblock.sandbox.identity import Identity, IdentityRange
from cellblock.sandbox.policy import CODE, HOSTNAME, RUNTIME, SHARED_RUNTIME, Policy
from cellblock_cell.granted import CERTIFICATES, MOUNTS

_START_SECONDS = 120
_STOP_SECONDS = 5
_MESSAGE_BYTES = 64 * 1024
_REQUESTS_AT_ONCE = 16  # the template makes one cell after the other; more would fill the control socket
_LATE_TO_KILL = "-900"  # agents inherit it, user code raises it: the memory killer takes the code, not the session (proc(5))
_FIRST_STAGE = "import sys; sys.path.insert(0, sys.argv[1]); from cellblock_cell import launch; sys.exit(launch.main())"
_SECOND_STAGE = (
    "import sys; sys.path.insert(0, {code!r}); from cellblock_cell.fork_handlers import HANDLERS; HANDLERS.gather(); "
    "from cellblock_cell import template; sys.exit(template.main())"
)
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""For the template's libraries while they are imported: a fork copies a sane state only of a process with one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatePlan:
    """What a template is made from; paths are the host's."""

    policy: Policy
    base_python: Path
    code: Path
    staging: Path
    preload: tuple[str, ...]
    rest_seconds: float  # 0: memory is never given back


@dataclass(frozen=True, slots=True)
class Spawned:
    """A clone that confines itself and will say HELLO; the owner closes both descriptors."""

    pid: int
    pidfd: int
    link: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnRequest:
    """One cell to be made, with pairs of a use and a descriptor, which stay the caller's.

    It writes 0 to each of the use `group`; `entrance`, `services`, `certificates` and `mount` are the others.
    """

    name: str
    identity: Identity
    sizes: dict[str, int]
    processors: tuple[int, ...]
    descriptors: tuple[tuple[str, int], ...]
    environment: dict[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    mounts: tuple[str, ...] = ()
    writable_mounts: tuple[str, ...] = ()
    network: dict[str, Any]  # as cellblock_cell.network reads it


def install_cell_code(cache: Path) -> Path:
    """A copy of the cell's package alone, so that nothing of the host's package can be imported beside it; made once a version."""
    source = Path(cellblock_cell.__file__).parent
    files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    target = cache / "cell" / digest.hexdigest()[:16]
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    shutil.copytree(source, unfinished / "cellblock_cell", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (unfinished, *unfinished.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    try:
        unfinished.rename(target)
    except OSError:  # another server was faster
        shutil.rmtree(unfinished)
    return target


class Template:
    """The running template process. One owner starts and closes it."""

    def __init__(self, plan: TemplatePlan, identities: IdentityRange) -> None:
        self._plan = plan
        self._identities = identities
        self._control: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._turns = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self._waiting: dict[str, asyncio.Future[tuple[int, int]]] = {}
        self.missing_modules: tuple[str, ...] = ()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def is_serving(self) -> bool:
        """Whether it can still be asked for cells."""
        return self._control is not None

    async def start(self) -> None:
        """Start it and wait until its imports are done; raises HostNotReady with the step that failed."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            first_stage = ["-I", "-S", "-B", "-c", _FIRST_STAGE, str(self._plan.code), str(theirs.fileno())]
            self._process = await asyncio.create_subprocess_exec(
                self._plan.base_python,
                *first_stage,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env={},
                cwd="/",
                start_new_session=True,  # a terminal's Ctrl-C is for the server, which then ends this process in order
            )
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._prepare()
        except TimeoutError as error:
            await self.close()
            raise HostNotReady(f"the template did not start within {_START_SECONDS} s") from error
        except OSError as error:
            await self.close()
            raise CellDied(f"the template ended while it started: {error}") from error
        except HostNotReady:
            await self.close()
            raise
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._read)

    async def spawn(self, request: SpawnRequest) -> Spawned:
        """Clone a cell; raises HostNotReady when the template refuses or has died."""
        async with self._turns:
            return await self._spawn(request)

    async def _spawn(self, request: SpawnRequest) -> Spawned:
        if self._control is None:
            raise HostNotReady("the template is not running")
        message = self._spawn_message(request)
        if len(message) > _MESSAGE_BYTES:
            raise HostNotReady(
                f"what a cell is told has {len(message)} bytes and {_MESSAGE_BYTES} is the most: fewer ranges, shorter files"
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        answer: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting[request.name] = answer
        try:
            with theirs:
                given = [theirs.fileno(), *(descriptor for _, descriptor in request.descriptors)]
                socket.send_fds(self._control, [message], given)
            async with asyncio.timeout(_START_SECONDS):
                pid, pidfd = await answer
        except TimeoutError as error:
            ours.close()
            raise HostIsFull(f"the template did not make a cell within {_START_SECONDS} s") from error
        except OSError as error:
            ours.close()
            self._let_go(f"the template is gone: {error.strerror}")
            raise HostNotReady(f"the template is gone: {error.strerror}") from error
        except BaseException:
            ours.close()
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                os.close(answer.result()[1])  # it came in the moment in which the caller gave up
            raise
        finally:
            self._waiting.pop(request.name, None)
        return Spawned(pid, pidfd, ours)

    def _spawn_message(self, request: SpawnRequest) -> bytes:
        identity = request.identity
        cell: dict[str, Any] = {"name": request.name, "uid_map": identity.uid_map, "gid_map": identity.gid_map, **request.sizes}
        cell |= {"may_set_groups": self._identities.is_privileged, "processors": request.processors}
        cell |= {name: getattr(request, name) for name in ("environment", "ports", "mounts", "writable_mounts", "network")}
        return json.dumps({"cell": cell, "descriptors": ["link", *(use for use, _ in request.descriptors)]}).encode()

    async def close(self) -> None:
        """End the process; cells that live go on without it. May be called again."""
        self._let_go("the template was closed")
        if self._process is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _prepare(self) -> None:
        """Both stages of the start, each answered by an event."""
        await self._send(self._first_message())
        await self._expect("unshared")
        self._write_maps()
        await self._send({"event": "mapped"})
        await self._expect("entered")  # what a process leaves unread when it ends would hide its last message
        await self._send(self._second_message())
        ready = await self._expect("ready")
        self.missing_modules = tuple(str(name) for name in ready["missing"])

    def _first_message(self) -> dict[str, Any]:
        policy = self._plan.policy
        python = f"{RUNTIME}/bin/python"
        return {
            "root": {
                "binds": policy.binds,
                "links": policy.links,
                "files": policy.files,
                "runtime": RUNTIME,
                "shared_runtime": SHARED_RUNTIME,
                "directories": ["/home/cell", "/run", "/run/cell", "/workspace", "/tmp", MOUNTS, CERTIFICATES],
                "processor_count": os.sysconf("SC_NPROCESSORS_CONF"),
            },
            "privileged": self._identities.is_privileged,
            "namespace_owner": self._identities.template_id,
            "staging": str(self._plan.staging),
            "python": python,
            "arguments": ["-I", "-B", "-c", _SECOND_STAGE.format(code=CODE)],
            "environment": policy.environment | {"HOME": "/tmp"} | _ONE_THREAD,
        }

    def _second_message(self) -> dict[str, Any]:
        policy = self._plan.policy
        return {
            "preload": self._plan.preload,
            "rest_seconds": self._plan.rest_seconds,
            "policy": {
                "namespaces": policy.namespaces,
                "steps": policy.steps,
                "runtime": RUNTIME,
                "shared_runtime": SHARED_RUNTIME,
                "hostname": HOSTNAME,
                "inodes": policy.inodes,
                "masked_files": policy.masked_files,
                "masked_directories": policy.masked_directories,
                "read_only": policy.read_only,
                "writable": policy.writable,
                "landlock": policy.landlock,
                "seccomp_program": base64.b64encode(seccomp.compile_filter(policy)).decode(),
                "environment": policy.environment,
            },
        }

    def _write_maps(self) -> None:
        """The process has left the host's user namespace and waits for its ids (user_namespaces(7))."""
        process = Path(f"/proc/{self._process.pid if self._process else 0}")
        if self._identities.is_privileged:
            with contextlib.suppress(
                PermissionError
            ):  # root of a container may lack CAP_SYS_RESOURCE; a session then dies where code could
                (process / "oom_score_adj").write_text(_LATE_TO_KILL)
        else:
            (process / "setgroups").write_text("deny")
        (process / "uid_map").write_text(self._identities.template_uid_map)
        (process / "gid_map").write_text(self._identities.template_gid_map)

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._control is not None
        await asyncio.get_running_loop().sock_sendall(self._control, json.dumps(message).encode())

    async def _expect(self, event: str) -> dict[str, Any]:
        assert self._control is not None
        data = await asyncio.get_running_loop().sock_recv(self._control, _MESSAGE_BYTES)
        message: dict[str, Any] = json.loads(data) if data else {"event": "failed", "message": await self._last_words()}
        if message["event"] != event:
            raise HostNotReady(f"the template failed: {message.get('message', message['event'])}")
        return message

    async def _last_words(self) -> str:
        if self._process is None or self._process.stderr is None:
            return "it ended"
        text = (await self._process.stderr.read(_MESSAGE_BYTES)).decode(errors="replace").strip()
        return text.splitlines()[-1] if text else "it ended without a word"

    def _read(self) -> None:
        """One event of the serving template."""
        assert self._control is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1)
        except BlockingIOError:
            return
        except OSError as error:
            self._let_go(f"the template is gone: {error.strerror}")
            return
        if not data:
            self._let_go("the template has died")
            return
        message = json.loads(data)
        answer = self._waiting.get(message["name"])
        if answer is None or answer.done():
            for descriptor in descriptors:
                os.close(descriptor)
        elif message["event"] == "spawned" and not descriptors:  # recvmsg(2) drops those for which this process has no room
            answer.set_exception(HostIsFull("the server's limit of open files is reached"))
        elif message["event"] == "spawned":
            os.set_inheritable(descriptors[0], False)
            answer.set_result((message["pid"], descriptors[0]))
        else:
            answer.set_exception(_refusal(message["kind"], message["message"]))

    def _let_go(self, reason: str) -> None:
        if self._control is None:
            return
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        self._control = None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(HostNotReady(reason))


def _refusal(kind: str, message: str) -> HostNotReady:
    """Why the template made no cell; one that was killed before it had its ids is not found by who writes them."""
    if kind in ("ENOENT", "ESRCH"):
        return CellDied(f"a cell died while it started: {message}")
    return host_failed(f"the template could not make a cell: {message}", kind)
