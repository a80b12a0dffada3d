"""Installing in sessions with a network: from a local index, into the session alone, to be used at once."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellblock.model.calls import FileToWrite, RunCode, WriteFiles
from cellblock.model.network_grants import INTERNET
from cellblock.runtime.builds import Runtime
from cells import MIB, Bench, BenchCell
from network.conftest import Opened
from network.wheels import make_wheel, wheel_name
from network.world import World
from operator_files import make_authority

pytestmark = pytest.mark.root
INDEX = "http://web.example/simple"
OPTIONS = f"-i {INDEX} --trusted-host web.example"
UV_OPTIONS = f"--default-index {INDEX}"
REGISTRY = "http://web.example/npm"


@pytest.fixture(scope="module", autouse=True)
def served(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An index of Python packages, a registry of Node packages and a git repository, as files."""
    for name in ("tiny_thing", "other_thing"):
        world.served[f"/simple/{name.replace('_', '-')}/"] = f'<a href="/files/{wheel_name(name)}">{wheel_name(name)}</a>'.encode()
        world.served[f"/files/{wheel_name(name)}"] = make_wheel(name, "def answer():\n    return 42\n")
    package = _node_package()
    digest = hashlib.sha1(package).hexdigest()
    tarball = {"tarball": f"{REGISTRY}/files/tiny-node-1.0.0.tgz", "shasum": digest}
    version = {"name": "tiny-node", "version": "1.0.0", "main": "index.js", "dist": tarball}
    about = {"name": "tiny-node", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    world.served |= {"/npm/tiny-node": json.dumps(about).encode(), "/npm/files/tiny-node-1.0.0.tgz": package}
    world.served |= _repository(tmp_path_factory.mktemp("git"))


@pytest.fixture(scope="module")
def bench(node: Opened) -> Bench:
    """A node with the best way to the internet that this machine has."""
    return node()


@pytest.fixture
def cell(bench: Bench) -> Iterator[BenchCell]:
    """A fresh session of network mode PUBLIC."""
    with bench.cell(network=INTERNET) as opened:
        yield opened


@pytest.mark.parametrize("install", [f"pip install {OPTIONS} tiny-thing", f"uv pip install {UV_OPTIONS} tiny-thing"])
def test_a_package_is_there_at_once_in_the_running_kernel_and_in_commands(cell: BenchCell, install: str) -> None:
    assert cell.run("try:\n    import tiny_thing\nexcept ImportError: print('absent')").stdout == b"absent\n"
    run = cell.command(install, timeout_seconds=60)
    assert run.exit_code == 0, run.stderr.decode()
    assert cell.run("import tiny_thing; print(tiny_thing.answer())").stdout == b"42\n"
    assert cell.shell("python -c 'import tiny_thing; print(tiny_thing.answer())'") == "42"
    assert cell.run("print(tiny_thing.answer())").stdout == b"42\n"


def test_pip_in_code_installs_for_the_next_line(cell: BenchCell) -> None:
    run = cell.run(f"%pip install --quiet {OPTIONS} tiny-thing\nimport tiny_thing\nprint(tiny_thing.answer())", timeout_seconds=60)
    assert run.stdout.decode().strip().endswith("42"), run


def test_a_second_package_is_seen_when_the_first_has_filled_the_importers_caches(cell: BenchCell) -> None:
    for name in ("tiny_thing", "other_thing"):
        cell.run(f"try:\n    import {name}\nexcept ImportError: pass")
        run = cell.command(f"pip install {OPTIONS} {name}", timeout_seconds=60)
        assert run.exit_code == 0, run.stderr.decode()
        assert cell.run(f"import {name}; print({name}.answer())").stdout == b"42\n"


def test_what_one_session_installs_no_other_has_nor_the_shared_runtime(cell: BenchCell, bench: Bench, built_runtime: Runtime) -> None:
    before = _shared(built_runtime)
    assert cell.command(f"pip install {OPTIONS} tiny-thing && pip uninstall --yes tqdm", timeout_seconds=60).exit_code == 0
    assert _shared(built_runtime) == before
    with bench.cell(network=INTERNET) as other:
        assert other.shell("python -c 'import tqdm, tiny_thing' 2>&1").endswith("No module named 'tiny_thing'")


def test_a_node_package_is_there_at_once(cell: BenchCell) -> None:
    run = cell.command(f"npm install --registry {REGISTRY} tiny-node", timeout_seconds=60)
    assert run.exit_code == 0, run.stderr.decode()
    assert cell.shell("""node -e 'console.log(require("tiny-node").answer)'""") == "42"
    code = "const tiny = require('tiny-node'); console.log(tiny.answer)"
    request = RunCode(code=code, language="javascript", runtime="nodejs", clear_context=False, timeout_seconds=30, output_bytes=MIB)
    assert cell.call(request).stdout == b"42\n"


def test_git_clones(cell: BenchCell) -> None:
    run = cell.command("git clone --quiet http://web.example/thing.git && cat thing/README", timeout_seconds=60)
    assert run.stdout == b"a repository\n", run.stderr.decode()


def test_the_proxy_serves_every_installer(node: Opened) -> None:
    git = "git clone --quiet http://web.example/thing.git"
    npm = f"npm install --registry {REGISTRY} tiny-node"
    with node(user_network="proxy").cell(network=INTERNET) as cell:
        run = cell.command(
            f"pip install {OPTIONS} tiny-thing && uv pip install {UV_OPTIONS} other-thing && {npm} && {git}", timeout_seconds=90
        )
        assert run.exit_code == 0, run.stderr.decode()


@pytest.mark.parametrize("way", ["auto", "proxy"])
def test_git_and_installers_work_over_https(node: Opened, world: World, tmp_path: Path, way: str) -> None:
    authority = make_authority("Packages", "web.example")
    (tmp_path / "server.pem").write_text(authority.server_certificate)
    (tmp_path / "key.pem").write_text(authority.server_key)
    trust = "export GIT_SSL_CAINFO=$PWD/ca.pem PIP_CERT=$PWD/ca.pem CURL_CA_BUNDLE=$PWD/ca.pem"
    install = f"pip install -i {INDEX.replace('http:', 'https:')} tiny-thing"
    with world.secured(tmp_path / "server.pem", tmp_path / "key.pem"), node(user_network=way).cell(network=INTERNET) as cell:
        cell.call(WriteFiles((FileToWrite("ca.pem", authority.certificate.encode()),)))
        command = f"{trust}; curl -sS https://web.example/ && git clone --quiet https://web.example/thing.git && {install}"
        run = cell.command(command, timeout_seconds=60)
        assert run.exit_code == 0, run.stderr.decode()
        assert cell.shell("curl -sS https://web.example/ 2>&1").startswith("curl: (60)"), "who trusts nobody is not served"


def test_the_operators_files_lead_installers_to_his_index(node: Opened, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("installers")
    (place / "pip.conf").write_text(f"[global]\nindex-url = {INDEX}\ntrusted-host = web.example\n")
    (place / "uv.toml").write_text(f'[[index]]\nurl = "{INDEX}"\ndefault = true\n')
    (place / "npmrc").write_text(f"registry={REGISTRY}\n")
    with node(installer_dir=str(place)).cell(network=INTERNET) as cell:
        run = cell.command("pip install tiny-thing && uv pip install other-thing && npm install tiny-node", timeout_seconds=60)
        assert run.exit_code == 0, run.stderr.decode()
    with node(installer_dir=str(place)).cell() as closed:
        assert "network-mode-sandbox" in closed.shell("pip install tiny-thing 2>&1")


def test_a_file_of_the_session_is_no_way_to_the_operators_files(cell: BenchCell) -> None:
    cell.call(WriteFiles((FileToWrite("pip.conf", b"[global]\n"),)))
    assert "Read-only file system" in cell.shell("cp pip.conf /etc/pip.conf 2>&1")


def _shared(runtime: Runtime) -> set[str]:
    place = runtime.on_host(runtime.site_packages)
    return {f"{path.name} {path.stat().st_mtime_ns}" for path in place.iterdir()}


def _node_package() -> bytes:
    files = {"package.json": '{"name": "tiny-node", "version": "1.0.0", "main": "index.js"}', "index.js": "exports.answer = 42;\n"}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            about = tarfile.TarInfo(f"package/{name}")
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))
    return content.getvalue()


def _repository(place: Path) -> dict[str, bytes]:
    """What git's simplest protocol over HTTP reads: files as they lie."""
    (place / "README").write_text("a repository\n")
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    for command in (("init", "--quiet"), ("add", "README"), (*author, "commit", "--quiet", "-m", "first"), ("update-server-info",)):
        subprocess.run(["git", *command], cwd=place, check=True)
    inside = place / ".git"
    return {f"/thing.git/{path.relative_to(inside)}": path.read_bytes() for path in inside.rglob("*") if path.is_file()}
