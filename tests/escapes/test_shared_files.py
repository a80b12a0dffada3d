"""To overwrite a program or a library that the host or other cells run would be to run as them, as CVE-2019-5736 did."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellblock.runtime.builds import Runtime
from cells import Bench, BenchCell, on_host

OPEN = "print(attempt(lambda: os.close(os.open({path}, os.O_WRONLY))))"
REOPEN = "print(attempt(lambda: os.close(os.open(f'/proc/self/fd/{os.open(\"/proc/self/exe\", os.O_PATH)}', os.O_WRONLY))))"
REFUSED = ("EROFS", "EACCES", "ETXTBSY", "EPERM")
PLANT = "import IPython, os; path = os.path.join(os.path.dirname(IPython.__file__), 'planted.py'); open(path, 'w').write('x = 1')"
FIND = "import importlib.util; print(importlib.util.find_spec('IPython.planted') is not None)"
CHANGE = "import os, six; os.remove(six.__file__); open(six.__file__, 'w').write('changed = True')"


def test_the_running_interpreter_cannot_be_overwritten(cell: BenchCell, tmp_path: Path) -> None:
    mine = tmp_path / "program"
    mine.write_bytes(Path("/bin/true").read_bytes())
    assert on_host(OPEN.format(path=repr(str(mine)))) == "done"
    assert cell.probe(OPEN.format(path="'/proc/self/exe'")) in REFUSED
    assert cell.probe(REOPEN) in REFUSED


def test_the_shared_runtime_and_the_cells_own_package_cannot_be_written(cell: BenchCell, built_runtime: Runtime) -> None:
    manifest = "runtime.json"
    assert on_host(OPEN.format(path=repr(str(built_runtime.path / manifest)))) == "done"
    assert cell.probe(OPEN.format(path=repr(f"/opt/cellblock/shared/{manifest}"))) in REFUSED
    assert cell.probe(OPEN.format(path="'/opt/cellblock/cell/cellblock_cell/agent.py'")) in REFUSED
    assert cell.probe("print(attempt(os.utime, '/opt/cellblock/shared/runtime.json'))") in REFUSED
    assert cell.probe("print(attempt(os.chmod, '/opt/cellblock/shared/runtime.json', 0o777))") in REFUSED


def test_a_file_planted_in_the_runtime_is_seen_by_its_own_cell_only(strong: Bench, built_runtime: Runtime) -> None:
    with strong.cell() as attacker, strong.cell() as victim:
        assert attacker.run(PLANT).exit_code == 0
        assert attacker.shell(f'python3 -c "{FIND}"') == "True"
        assert victim.shell(f'python3 -c "{FIND}"') == "False"
    with strong.cell() as later:
        assert later.shell(f'python3 -c "{FIND}"') == "False"
    assert not list(built_runtime.on_host(built_runtime.site_packages).glob("IPython/planted.py"))


def test_a_changed_library_is_changed_in_its_own_cell_only(strong: Bench, built_runtime: Runtime) -> None:
    changed = "python3 -c \"import six; print(hasattr(six, 'changed'))\""
    with strong.cell() as attacker, strong.cell() as victim:
        assert attacker.run(CHANGE).exit_code == 0
        assert (attacker.shell(changed), victim.shell(changed)) == ("True", "False")
    assert "changed = True" not in built_runtime.on_host(built_runtime.site_packages / "six.py").read_text()


@pytest.mark.parametrize("path", ["/usr/bin/python3", "/etc/passwd", "/etc/hosts", "/etc/ld.so.cache"])
def test_programs_and_settings_of_the_host_cannot_be_written(cell: BenchCell, path: str) -> None:
    assert cell.probe(OPEN.format(path=repr(path))) in REFUSED
