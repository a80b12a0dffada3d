"""Files and variables of the host hold its secrets: password hashes, keys, tokens, the access keys of the service itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellblock.runtime.builds import Runtime
from cellblock.sandbox.policy import MASKED_FILES
from cells import Bench, BenchCell, bench_settings, on_host

READ = "print(attempt(open, {!r}, 'rb'))"
LIST = "print(attempt(os.listdir, {!r}))"
MARK = "print(os.environ.get('ESCAPE_MARK', 'absent'), 'ESCAPE_MARK' in open('/proc/self/environ').read())"
PROMISED = {"/workspace", "/tmp", "/home/cell", "/dev/shm", "/dev/pts", "/opt/cellblock/runtime", "/proc"}
DEVICES = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}
WRITABLE_MOUNTS = """
places = {line.split()[4] for line in open("/proc/self/mountinfo")}
print(*(place for place in places if os.path.exists(place) and not os.statvfs(place).f_flag & os.ST_RDONLY))
"""


@pytest.mark.root
@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/gshadow", str(Path("/root", ".bashrc")), "/var/lib/dpkg/status", "/etc/machine-id"])
def test_files_of_the_host_are_absent(cell: BenchCell, path: str) -> None:
    if on_host(READ.format(path)) != "done":
        pytest.skip(f"needs a host that has {path}")
    assert cell.probe(READ.format(path)) in ("ENOENT", "EACCES")


@pytest.mark.parametrize("path", ["/var", "/root", "/boot", "/srv", "/media", "/sys/kernel", "/sys/class", "/sys/fs"])
def test_directories_of_the_host_are_absent(cell: BenchCell, path: str) -> None:
    assert cell.probe(LIST.format(path)) in ("ENOENT", "EACCES")


def test_places_for_file_systems_are_not_the_hosts(cell: BenchCell) -> None:
    assert cell.probe("print(os.listdir('/mnt'), attempt(os.mkdir, '/mnt/more'))") == "[] EROFS"


def test_home_and_run_hold_nothing_of_the_host(cell: BenchCell) -> None:
    assert cell.probe("print(os.listdir('/home'), attempt(os.listdir, '/run'), os.listdir('/run'))") == "['cell'] done []"


def test_the_services_data_and_cache_are_absent(cell: BenchCell) -> None:
    settings = bench_settings()
    for path in (settings.data_dir, settings.cache_dir):
        assert cell.probe(f"print(os.path.exists({str(path)!r}))") == "False"


def test_the_hosts_passwords_are_not_those_of_the_cell(cell: BenchCell) -> None:
    with open("/etc/passwd", encoding="utf-8") as accounts:
        assert cell.shell("cat /etc/passwd") != accounts.read().strip()


def test_variables_of_the_host_are_unknown(built_runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCAPE_MARK", "secret")
    assert on_host(MARK) == "secret True"
    bench = Bench(bench_settings(), built_runtime)
    try:
        with bench.cell() as cell:
            assert cell.probe(MARK) == "absent False"
            assert "secret" not in cell.shell("env")
    finally:
        bench.close()


def test_the_hosts_package_cannot_be_imported(cell: BenchCell) -> None:
    assert on_host("import importlib.util; print(importlib.util.find_spec('cellblock') is not None)") == "True"
    assert cell.probe("import importlib.util; print(importlib.util.find_spec('cellblock'))") == "None"
    assert "No module named" in cell.command("python3 -c 'import cellblock'").stderr.decode()


def test_nothing_but_the_promised_places_can_be_written(cell: BenchCell) -> None:
    found = set(cell.probe(WRITABLE_MOUNTS).split())
    assert found >= PROMISED
    assert found - PROMISED - DEVICES <= set(MASKED_FILES)  # which are the null device
