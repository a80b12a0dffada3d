"""A cell from the inside: who it is, what it finds, and what it shares with the next one."""

from __future__ import annotations

import dataclasses
import io
import zipfile

import pytest

from cellblock.model.calls import FileToWrite, ListFiles, WriteFiles
from cellblock.nodes.local import policy_for
from cellblock.runtime.builds import Runtime
from cells import Bench, BenchCell, bench_settings

RANDOM = """
import random, secrets, uuid, numpy
print(random.random(), numpy.random.rand(), numpy.random.randn(), numpy.random.default_rng().random(), uuid.uuid4(), secrets.token_hex())
print(random.Random().random(), os.urandom(8).hex(), tempfile.mktemp())
"""
INSTALL = "pip install --no-index --quiet ./cellprobe-1.0-py3-none-any.whl && python -c 'import cellprobe; print(cellprobe.ANSWER)'"


def wheel() -> bytes:
    """A package of one module."""
    info = "cellprobe-1.0.dist-info"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("cellprobe.py", "ANSWER = 42\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cellprobe\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"cellprobe.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return data.getvalue()


def test_the_user_is_an_ordinary_one(cell: BenchCell) -> None:
    assert cell.shell("id") == "uid=1000(cell) gid=1000(cell) groups=1000(cell)"
    assert cell.shell("echo ~; pwd") == "/home/cell\n/workspace"


def test_the_host_name_is_the_cells_own(cell: BenchCell) -> None:
    assert cell.shell("hostname; cat /etc/hostname") == "cell\ncell"


def test_commands_and_code_find_the_policys_environment_and_nothing_else(cell: BenchCell, built_runtime: Runtime) -> None:
    wanted = policy_for(bench_settings(), built_runtime).environment
    assert cell.probe(f"print(dict(os.environ) == {wanted!r})") == "True"
    added = {"PWD": "/workspace", "SHLVL": "0", "_": "/usr/bin/env"}  # by the shell
    found = dict(line.split("=", 1) for line in cell.shell("env").splitlines())
    assert found == wanted | added


def test_a_fresh_workspace_is_empty(cell: BenchCell) -> None:
    assert cell.call(ListFiles("")).entries == ()
    assert cell.shell("ls -A /workspace /tmp /dev/shm /home/cell | grep -v : ") == ""


def test_no_two_cells_share_randomness(built_runtime: Runtime) -> None:
    bench = Bench(dataclasses.replace(bench_settings(), preload=("numpy", "uuid", "secrets")), built_runtime)
    try:
        with bench.cell() as one, bench.cell() as other:
            drawn = [cell.probe(RANDOM).split() for cell in (one, other)]
    finally:
        bench.close()
    assert [len(words) for words in drawn] == [9, 9]
    assert not set(drawn[0]) & set(drawn[1])


def test_a_package_installed_in_one_cell_is_in_no_other(bench: Bench, built_runtime: Runtime) -> None:
    with bench.cell() as one, bench.cell() as other:
        one.call(WriteFiles((FileToWrite("cellprobe-1.0-py3-none-any.whl", wheel()),)))
        assert one.shell(INSTALL) == "42"
        assert one.probe("import cellprobe; print(cellprobe.ANSWER)") == "42"
        assert "No module named" in other.command("python -c 'import cellprobe'").stderr.decode()
    with bench.cell() as later:
        assert "No module named" in later.command("python -c 'import cellprobe'").stderr.decode()
    assert not list(built_runtime.on_host(built_runtime.site_packages).glob("cellprobe*"))


@pytest.mark.parametrize(
    "code", ["console.log(require('lodash').add(20, 22))", "import('lodash').then(m => console.log(m.default.add(20, 22)))"]
)
def test_node_packages_are_seen_from_the_workspace(cell: BenchCell, code: str) -> None:
    cell.call(WriteFiles((FileToWrite("program.js", code.encode()),)))
    assert cell.shell("env --unset NODE_PATH node program.js") == "42"


def test_node_in_a_directory_of_the_workspace_sees_them_too(cell: BenchCell) -> None:
    cell.call(WriteFiles((FileToWrite("deep/er/program.js", b"console.log(typeof require('axios').get)"),)))
    assert cell.shell("node deep/er/program.js") == "function"


def test_loopback_works_inside(cell: BenchCell) -> None:
    serve = "server = socket.create_server(('127.0.0.1', 0)); print(attempt(socket.create_connection, server.getsockname(), 5))"
    assert cell.probe(serve) == "done"
