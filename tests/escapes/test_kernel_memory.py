"""Memory of the kernel, and the keys that make it reboot or dump, lie in files that root may open; no cell has them."""

from __future__ import annotations

import os

import pytest

from cells import BenchCell, Weakened, on_host

OPEN = "print(attempt(lambda: os.close(os.open({path!r}, os.{mode}))))"
ABSENT = ("ENOENT", "EACCES", "EPERM")
MEMORY = {  # and what makes the kernel have it
    "/dev/mem": "CONFIG_DEVMEM",
    "/dev/port": "CONFIG_DEVPORT",
    "/proc/kcore": "CONFIG_PROC_KCORE",
    "/dev/kmsg": "CONFIG_PRINTK",
    "/proc/kmsg": "CONFIG_PRINTK",
}
LARGE = "print(os.stat({path!r}).st_size, os.path.samefile({path!r}, '/dev/null'))"


@pytest.mark.root
@pytest.mark.parametrize("path", MEMORY)
def test_memory_of_the_kernel_cannot_be_opened(cell: BenchCell, path: str) -> None:
    probe = OPEN.format(path=path, mode="O_RDONLY")
    if on_host(probe) != "done":
        assert cell.probe(probe) in ABSENT
        pytest.skip(f"needs {path} ({MEMORY[path]}) that root may open; a cell has none here either")
    if path.startswith("/proc/"):
        assert cell.probe(LARGE.format(path=path)) == "0 True"
    else:
        assert cell.probe(probe) in ABSENT


@pytest.mark.root
def test_the_system_request_keys_cannot_be_pressed(cell: BenchCell) -> None:
    if not os.path.exists("/proc/sysrq-trigger"):
        assert cell.probe(OPEN.format(path="/proc/sysrq-trigger", mode="O_WRONLY")) in ABSENT
        pytest.skip("needs /proc/sysrq-trigger (CONFIG_MAGIC_SYSRQ); a cell has none here either")
    assert on_host(OPEN.format(path="/proc/sysrq-trigger", mode="O_WRONLY")) == "done"
    assert cell.probe(LARGE.format(path="/proc/sysrq-trigger")) == "0 True"


def test_the_command_line_of_the_host_is_masked(cell: BenchCell, weakened: Weakened) -> None:
    probe = "print(open('/proc/cmdline').read().strip())"
    with weakened(masked_files=()).cell() as weak:
        assert weak.probe(probe) == on_host(probe)
    assert cell.probe(probe) == ""
