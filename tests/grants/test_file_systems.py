"""Directories of the host in a cell: whose the files are, what may be written, and where links in them lead."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellblock.errors import MountFailed
from cellblock.model.calls import Grants, Mount
from cells import Bench, BenchCell
from left_behind import Held, held
from operator_files import shared_directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return shared_directory(tmp_path / "shared")


@pytest.fixture
def cell(bench: Bench, directory: Path) -> Iterator[BenchCell]:
    with bench.granted(mounts=(of(directory),)) as opened:
        yield opened


def of(directory: Path, *, read_only: bool = False, name: str = "data") -> Mount:
    return Mount(name=name, directory=directory, read_only=read_only)


def held_by(bench: Bench) -> Held:
    """What is held once the loop has closed what the cells before have let go of."""
    for _ in range(3):
        bench.wait(asyncio.sleep(0))
    return held()


def refused(bench: Bench, directory: Path, *, read_only: bool = False) -> str:
    """Why a directory cannot be mounted; nothing may be left of the cell."""
    before = held_by(bench)
    with pytest.raises(MountFailed) as caught:
        bench.open(grants=Grants(mounts=(of(directory, read_only=read_only),)))
    assert held_by(bench) == before
    assert str(directory) not in caught.value.message, "paths of the host are the operator's"
    return caught.value.message


def test_files_of_the_directorys_owner_are_the_cells_own(cell: BenchCell) -> None:
    assert cell.shell("stat -c '%U %G' /mnt/data /mnt/data/kept.txt") == "cell cell\ncell cell"
    assert cell.shell("cat /mnt/data/kept.txt") == "kept on the host"


def test_what_the_cell_writes_belongs_to_the_directorys_owner_on_the_host(cell: BenchCell, directory: Path) -> None:
    assert cell.shell("echo from the cell > /mnt/data/new.txt; stat -c %U /mnt/data/new.txt") == "cell"
    assert (directory / "new.txt").read_text() == "from the cell\n"
    assert (directory / "new.txt").stat().st_uid == directory.stat().st_uid


def test_two_sessions_share_what_they_write(bench: Bench, cell: BenchCell, directory: Path) -> None:
    cell.shell("echo shared > /mnt/data/new.txt")
    with bench.granted(mounts=(of(directory),)) as other:
        assert other.shell("cat /mnt/data/new.txt && rm /mnt/data/new.txt && echo removed") == "shared\nremoved"


def test_a_read_only_directory_cannot_be_written_to(bench: Bench, directory: Path) -> None:
    attempts = "echo x > /mnt/data/kept.txt; rm /mnt/data/kept.txt; chmod 777 /mnt/data; mkdir /mnt/data/d; echo end >&2"
    with bench.granted(mounts=(of(directory, read_only=True),)) as cell:
        assert cell.shell(attempts).count("Read-only file system") == 4
    assert [path.name for path in directory.iterdir()] == ["kept.txt"]


def test_links_lead_to_the_cells_own_files(cell: BenchCell, directory: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    for name, target in {"hostname": "/etc/hostname", "up": "../secret", "away": str(tmp_path / "secret")}.items():
        (directory / name).symlink_to(target)
    assert (directory / "away").read_text() == "of the host", "the links lead to it outside"
    assert cell.shell("cat /mnt/data/hostname") == "cell"
    assert cell.shell("cat /mnt/data/up /mnt/data/away").count("No such file") == 2


def test_a_directory_is_not_mounted_through_a_link(bench: Bench, directory: Path, tmp_path: Path) -> None:
    """Code that may write to the directory above could have put the link there, to have any directory of the host."""
    (tmp_path / "link").symlink_to(directory)
    (directory / "inner").mkdir()
    assert "reached by a link" in refused(bench, tmp_path / "link")
    assert "reached by a link" in refused(bench, tmp_path / "link" / "inner")


def test_a_missing_directory_fails_the_start_with_the_reason(bench: Bench, tmp_path: Path) -> None:
    assert refused(bench, tmp_path / "absent") == "the file system at /mnt/data could not be mounted: No such file or directory"


@pytest.mark.root
def test_a_directory_of_roots_is_not_given_to_be_written_to(bench: Bench, tmp_path: Path) -> None:
    """Code could leave programs there that run as root for whoever starts them on the host."""
    (tmp_path / "roots").mkdir()
    assert "belongs to root" in refused(bench, tmp_path / "roots")
    with bench.granted(mounts=(of(tmp_path / "roots", read_only=True),)) as cell:
        assert cell.shell("ls -A /mnt/data") == ""


@pytest.mark.root
def test_files_of_others_in_the_directory_stay_theirs(cell: BenchCell, directory: Path) -> None:
    (directory / "roots").write_text("private")
    (directory / "roots").chmod(0o600)
    assert (directory / "roots").stat().st_uid == 0
    assert "Permission denied" in cell.shell("cat /mnt/data/roots")


@pytest.mark.root
def test_devices_and_the_rights_of_others_mean_nothing_there(cell: BenchCell, directory: Path) -> None:
    os.mknod(directory / "memory", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.chmod(directory / "memory", 0o666)
    with (directory / "memory").open("rb") as device:
        assert device.read(1) == b"\0", "the device works on the host"
    assert "Permission denied" in cell.shell("head -c 1 /mnt/data/memory")
    assert "nosuid" in cell.shell("grep ' /mnt/data ' /proc/self/mountinfo")


def test_a_file_larger_than_the_workspace_fits(cell: BenchCell, directory: Path) -> None:
    """The workspace of these cells has 64 MB; the directory has what its disk has."""
    cell.shell("head -c 200M /dev/zero > /mnt/data/large")
    assert (directory / "large").stat().st_size == 200 * 1024**2


def test_nothing_else_can_be_written_below_mnt(cell: BenchCell) -> None:
    assert "Read-only file system" in cell.shell("touch /mnt/other")
    assert "Device or resource busy" in cell.shell("rmdir /mnt/data") or "Read-only" in cell.shell("rmdir /mnt/data")


def test_a_cell_without_grants_sees_nothing_below_mnt(bench: Bench, directory: Path) -> None:
    with bench.granted(mounts=(of(directory),)), bench.cell() as other:
        assert other.shell("ls -A /mnt; grep -c /mnt /proc/self/mountinfo") == "0"


def test_mounts_and_their_descriptors_end_with_the_cell(bench: Bench, directory: Path) -> None:
    before = held_by(bench)
    with bench.granted(mounts=(of(directory), of(directory, name="again", read_only=True))) as cell:
        assert cell.shell("ls /mnt") == "again\ndata"
        assert cell.shell("ls -l /proc/self/fd | grep -c 'data\\|mnt\\|shared'") == "0"
    assert held_by(bench) == before
