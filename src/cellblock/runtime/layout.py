"""Where a runtime lies, what it is made of, and the key that says so."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

FILES = Path(__file__).parent / "files"
IN_CELL = PurePosixPath("/opt/cellblock/runtime")
LAYOUT = 2  # raise it when the steps of the build change what comes out
MANIFEST = "runtime.json"  # written last: a directory without it is no runtime

INPUTS = (
    "python.lock",
    "node/package.json",
    "node/package-lock.json",
    "kernel/package.json",
    "kernel/package-lock.json",
    "fonts/package.json",
    "fonts/package-lock.json",
    "fonts/fonts.conf",
)


@dataclass(frozen=True, slots=True)
class BasePython:
    """The interpreter of the host that a runtime builds on."""

    executable: Path
    prefix: Path
    version: str  # "3.11.2"

    @property
    def short_version(self) -> str:
        """The version as it stands in directory names, such as 3.11."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True)
class Runtime:
    """A finished runtime: a directory of the host that every cell sees, read-only, at IN_CELL."""

    path: Path
    key: str
    base: BasePython
    owner: int | None  # the host's id that everything in it belongs to; None: whoever built it

    @property
    def python(self) -> PurePosixPath:
        """The interpreter, as a cell sees it."""
        return IN_CELL / "bin" / "python"

    @property
    def site_packages(self) -> PurePosixPath:
        """The libraries, as a cell sees them."""
        return IN_CELL / "lib" / f"python{self.base.short_version}" / "site-packages"

    @property
    def node_modules(self) -> PurePosixPath:
        """The Node packages, as a cell sees them."""
        return IN_CELL / "node" / "node_modules"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a cell's programs to the fonts."""
        return {"MPLCONFIGDIR": str(IN_CELL / "matplotlib"), "FONTCONFIG_FILE": str(IN_CELL / "fonts" / "fonts.conf")}

    def on_host(self, path: PurePosixPath) -> Path:
        """Where a path of the cell below IN_CELL lies on the host."""
        return self.path / path.relative_to(IN_CELL)


def key_of(base: BasePython, *, owner: int | None) -> str:
    """The name of the runtime that these inputs make; the same inputs always give the same name."""
    digest = hashlib.sha256()
    for name in INPUTS:
        content = (FILES / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    facts = [LAYOUT, platform.machine(), str(base.executable), str(base.prefix), base.version, owner]
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:24]


def write_manifest(directory: Path, key: str, base: BasePython) -> None:
    """Declare the directory finished."""
    content = {"key": key, "layout": LAYOUT, "base": {name: str(value) for name, value in asdict(base).items()}}
    (directory / MANIFEST).write_text(json.dumps(content, indent=2) + "\n")


def is_finished(directory: Path, key: str) -> bool:
    """Whether the directory holds the whole runtime of this key."""
    try:
        content = json.loads((directory / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("key") == key
