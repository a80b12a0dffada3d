"""The file system that the template and all cells see: read-only pieces of the host, put together once, then entered."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cellblock_cell import linux
from cellblock_cell.linux import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC

READ_ONLY = MS_RDONLY | MS_NOSUID | MS_NODEV
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PROCESSORS = "/sys/devices/system/cpu"  # the only part of /sys that there is: glibc counts the processors there
PROCESSOR_LISTS = "/opt/cellblock/processors"
EMPTY = "/opt/cellblock/empty"  # what cells bind over directories that are not theirs to see; a file system for each would cost 50 µs
_STANDARD_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSpec:
    """What the root is made of; paths of `binds` are (host path, path inside)."""

    binds: list[tuple[str, str]]
    links: dict[str, str]
    files: dict[str, str]
    directories: list[str]
    processor_count: int
    runtime: str
    shared_runtime: str


def build_and_enter(spec: RootSpec, *, staging: str) -> None:
    """Mount the root on `staging`, make it this process's root, and forget the old one.

    The caller has a mount namespace of its own. Raises OSError naming the first step that failed.
    """
    linux.mount("none", "/", flags=MS_REC | MS_PRIVATE)  # nothing mounted here may appear on the host
    linux.mount("cellblock", staging, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    root = Path(staging)
    for directory in spec.directories:
        (root / directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for source, target in spec.binds:
        bind_read_only(source, root / target.lstrip("/"))
    for name, target in spec.links.items():
        (root / name.lstrip("/")).symlink_to(target)
    for name, text in spec.files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / EMPTY.lstrip("/")).mkdir(parents=True, mode=0o555)
    _processor_lists(root, spec.processor_count)
    _devices(root / "dev")
    _template_layers(spec, root)
    # a fresh proc can be mounted in a cell only while this one is fully visible, and only this one is of the outer PID namespace
    (root / "proc").mkdir()
    linux.bind("/proc", str(root / "proc"))
    linux.pivot_root(staging)
    linux.restrict("/", READ_ONLY)


def bind_read_only(source: str, target: Path) -> None:
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    linux.bind(source, str(target))
    for mounted in _mounts_below(str(target)):  # a remount is never recursive
        linux.restrict(mounted, READ_ONLY)


def _mounts_below(target: str) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ")[4].replace("\\040", " ") for line in lines]
    return [point for point in points if point == target or point.startswith(target + "/")]


def _template_layers(spec: RootSpec, root: Path) -> None:
    """The template's own writable layer over the runtime, and its /tmp: libraries refuse caches that they cannot write to."""
    layers = root / ".template"
    for name in ("upper", "work"):
        (layers / name).mkdir(parents=True)
    (root / spec.runtime.lstrip("/")).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={root}{spec.shared_runtime},upperdir={layers}/upper,workdir={layers}/work,userxattr"
    linux.mount("runtime", f"{root}{spec.runtime}", "overlay", MS_NOSUID | MS_NODEV, options)
    layers.chmod(0o700)
    linux.mount("tmp", str(root / "tmp"), "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=1777")


def _processor_lists(root: Path, most: int) -> None:
    """For each number of processors what tells it to glibc, for a cell to bind in its place: sysconf(3), cpu(5) of sysfs."""
    (root / PROCESSORS.lstrip("/")).mkdir(parents=True)
    for count in range(1, most + 1):
        lists = root / PROCESSOR_LISTS.lstrip("/") / str(count)
        lists.mkdir(parents=True)
        (lists / "online").write_text(f"0-{count - 1}\n" if count > 1 else "0\n")
        for name in ("possible", "present"):
            (lists / name).symlink_to("online")


def _devices(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for name in DEVICES:
        (directory / name).touch()
        linux.mount(f"/dev/{name}", str(directory / name), flags=MS_BIND)
        linux.restrict(str(directory / name), MS_NOSUID | MS_NOEXEC)
    for name, target in _STANDARD_LINKS.items():
        (directory / name).symlink_to(target)
    (directory / "ptmx").symlink_to("pts/ptmx")
    for name in ("pts", "shm"):
        (directory / name).mkdir()


def leave_host_ids() -> None:
    """Become id 0 of the user namespace just made; groups of the host go where the maps permit it (user_namespaces(7))."""
    if Path("/proc/self/setgroups").read_text().strip() == "allow":
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
