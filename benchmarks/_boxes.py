"""Sessions that are made anew from programs of the machine: bubblewrap, and OCI runtimes with a bundle of Cellblock's own runtime."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cellblock.nodes.local import policy_for
from cellblock.runtime.layout import IN_CELL, Runtime
from cellblock.sandbox.policy import CODE, SHARED_RUNTIME
from cellblock.settings import table

LOOP = Path(__file__).with_name("_peer_loop.py")
SCRATCH = "/tmp/matplotlib"
OPTIONS = {
    "crun": ["--cgroup-manager=disabled"],
    "runc": ["--rootless=true"],
    "runsc": ["--rootless", "--network=none", "--ignore-cgroups"],
}
NAMESPACES = ("user", "pid", "network", "ipc", "uts", "mount")
_SECONDS = 30


class NotHere(Exception):
    """A peer cannot be measured on this machine; the message says why."""


class Piped:
    """A process with a read-eval loop on its pipes; `end`, when given, is the command that ends it."""

    def __init__(self, command: Sequence[str], end: Sequence[str] | None = None) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._end = end

    @property
    def pid(self) -> int:
        """The process that was started; those of the session are below it."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def run(self, code: str) -> str:
        """What the code prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(code) + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise NotHere(self._last_words())
        return str(json.loads(answer)).rstrip("\n")

    def close(self) -> None:
        """Kill it; nothing in it has anything to save."""
        if self._end is None:
            self._process.kill()
        else:
            subprocess.run(self._end, check=True, stdout=subprocess.DEVNULL, timeout=_SECONDS)
        self._let_go()

    def _let_go(self) -> None:
        self._process.wait(_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        lines = self._process.stderr.read().strip().splitlines()
        return f"it does not work here: {lines[-1][:200] if lines else 'it ended without a word'}"


class Bundle:
    """The files that boxes see: the same that cells see, read-only, those of `more` too, and directories that may be written."""

    def __init__(self, built: Runtime, directory: Path, *, program: str = LOOP.read_text(), more: str = "", shared: str = "") -> None:
        policy = policy_for(table.load(), built)
        self.binds = [(source, str(IN_CELL) if target == SHARED_RUNTIME else target) for source, target in policy.binds if target != CODE]
        self.binds += [(more, more)] if more else []
        self.links = policy.links
        # A copy that can be written, as cells have it: matplotlib looks for fonts again where it cannot keep what it found.
        self.fonts = directory / "matplotlib"
        shutil.copytree(built.on_host(IN_CELL / "matplotlib"), self.fonts)
        self.environment = {**policy.environment, "MPLCONFIGDIR": SCRATCH, "HOME": "/tmp"}
        self.written = [(str(self.fonts), SCRATCH), *([(shared, shared)] if shared else [])]
        self.command = [str(built.python), "-u", "-c", program]
        self._directory = directory / "bundle"
        self._numbers = itertools.count(1)
        self._write()

    def container(self, program: str, *arguments: str) -> Piped:
        """A container in the foreground, its program with these arguments; the runtime process is its parent."""
        name = f"cellblock-peer-{os.getpid()}-{next(self._numbers)}"
        base = [program, *OPTIONS[Path(program).name], "--root", str(self._directory / "state")]
        self._write_configuration([*self.command, *arguments])
        return Piped([*base, "run", "--bundle", str(self._directory), name], end=[*base, "delete", "--force", name])

    def _write(self) -> None:
        """The root holds only the points where something is mounted."""
        root = self._directory / "rootfs"
        for name in ("proc", "dev", "tmp"):
            (root / name).mkdir(parents=True)
        for source, target in [*self.binds, *self.written]:
            point = root / target.lstrip("/")
            if Path(source).is_dir():
                point.mkdir(parents=True, exist_ok=True)
            else:
                point.parent.mkdir(parents=True, exist_ok=True)
                point.touch()
        for name, target in self.links.items():
            link = root / name.lstrip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)

    def _write_configuration(self, command: list[str]) -> None:
        """The container (config.md of the OCI runtime specification); who runs this is root inside, as without rights it must be."""
        one = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        groups = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
        mounts: list[dict[str, object]] = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=1m"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]},
        ]
        mounts += [{"destination": target, "type": "bind", "source": source, "options": ["rbind", "ro"]} for source, target in self.binds]
        mounts += [{"destination": target, "type": "bind", "source": source, "options": ["rbind", "rw"]} for source, target in self.written]
        configuration = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": command,
                "env": [f"{name}={value}" for name, value in self.environment.items()],
                "cwd": "/tmp",
                "noNewPrivileges": True,
                "capabilities": {},
            },
            "root": {"path": "rootfs", "readonly": True},
            "hostname": "peer",
            "mounts": mounts,
            "linux": {"namespaces": [{"type": name} for name in NAMESPACES], "uidMappings": one, "gidMappings": groups},
        }
        (self._directory / "config.json").write_text(json.dumps(configuration))


def bwrap_command(bundle: Bundle, program: str) -> list[str]:
    """The same files and namespaces by bubblewrap."""
    command = [program, "--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for source, target in bundle.binds:
        command += ["--ro-bind", source, target]
    for name, target in bundle.links.items():
        command += ["--symlink", target, name]
    for name, value in bundle.environment.items():
        command += ["--setenv", name, value]
    return [*command, "--bind", str(bundle.fonts), SCRATCH, "--chdir", "/tmp", *bundle.command]
