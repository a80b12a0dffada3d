"""A back-up is the state of one moment, made beside a running server, and comes back whole or not at all."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cellblock.cli import commands
from cellblock.machine.backup import BackupError, back_up, restore
from cellblock.machine.data_directory import DataDirectoryInUse, hold_data_directory, read_credentials
from cellblock.model.resources import PageRequest, new_access_key
from cellblock.service.first_key import ensure_first_key
from cellblock.store.sqlite import SqliteStore
from store.things import ACCOUNT, interpreter

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def names(data_dir: Path) -> set[str]:
    store = await SqliteStore.open(data_dir)
    page = await store.list_interpreters(ACCOUNT, PageRequest(), kind="CUSTOM")
    await store.close()
    return {item.name for item in page.items}


async def test_back_up_beside_an_open_store_comes_back_with_keys_that_open(data_dir: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(data_dir)
    key = await ensure_first_key(store, data_dir, account=ACCOUNT)
    await store.create_interpreter(interpreter(name="before"))
    back_up(data_dir, tmp_path / "kept.tar.gz")
    await store.create_interpreter(interpreter(name="after"))
    await store.close()
    other = tmp_path / "other"
    assert restore(tmp_path / "kept.tar.gz", other, time=TIME) is None
    assert await names(other) == {"before"}
    opened = await SqliteStore.open(other)
    assert (await opened.get_access_key(key.id)).secret == key.secret
    await opened.close()
    assert read_credentials(other) is not None


async def test_what_was_there_is_set_aside(data_dir: Path, tmp_path: Path) -> None:
    store = await SqliteStore.open(data_dir)
    back_up(data_dir, tmp_path / "kept.tar.gz")
    await store.create_interpreter(interpreter(name="after"))
    await store.close()
    aside = restore(tmp_path / "kept.tar.gz", data_dir, time=TIME)
    assert aside == data_dir / "before-restore-20260102T030405"
    assert await names(data_dir) == set()
    assert await names(aside) == {"after"}


async def test_back_up_is_for_its_owner_alone_and_takes_its_name_when_it_is_whole(data_dir: Path, tmp_path: Path) -> None:
    await (await SqliteStore.open(data_dir)).close()
    before = os.umask(0)
    try:
        back_up(data_dir, tmp_path / "kept.tar.gz")
    finally:
        os.umask(before)
    assert (tmp_path / "kept.tar.gz").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["data", "kept.tar.gz"]


async def test_restore_under_a_running_server_is_refused(data_dir: Path, tmp_path: Path) -> None:
    await (await SqliteStore.open(data_dir)).close()
    back_up(data_dir, tmp_path / "kept.tar.gz")
    with hold_data_directory(data_dir), pytest.raises(DataDirectoryInUse):
        restore(tmp_path / "kept.tar.gz", data_dir, time=TIME)


def archive(path: Path, **members: bytes) -> Path:
    place = path.parent / "members"
    place.mkdir()
    with tarfile.open(path, "w:gz") as made:
        for name, content in members.items():
            (place / name).write_bytes(content)
            made.add(place / name, arcname=name.replace("_", "."))
    return path


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + b"\xff" * 4000])
async def test_damaged_back_up_changes_nothing(data_dir: Path, tmp_path: Path, content: bytes) -> None:
    store = await SqliteStore.open(data_dir)
    await store.create_interpreter(interpreter(name="kept"))
    await store.close()
    with pytest.raises(BackupError):
        restore(archive(tmp_path / "bad.tar.gz", cellblock_db=content), data_dir, time=TIME)
    assert await names(data_dir) == {"kept"}
    assert not [name for name in os.listdir(data_dir) if "restore" in name]


def test_file_that_is_no_archive_is_told(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"hello")
    with pytest.raises(BackupError, match="cannot be put back"):
        restore(tmp_path / "bad", data_dir, time=TIME)
    with pytest.raises(BackupError, match=r"holds no cellblock.db"):
        restore(archive(tmp_path / "other.tar.gz", passwd=b"x"), data_dir, time=TIME)


def test_links_and_paths_in_an_archive_are_not_followed(data_dir: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    with closing(sqlite3.connect(tmp_path / "good.db")) as database:
        database.execute("create table t (x)")
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as made:
        made.add(tmp_path / "good.db", arcname="cellblock.db")
        made.add(tmp_path / "good.db", arcname="../victim")
        link = tarfile.TarInfo("secrets.key")
        link.type, link.linkname = tarfile.SYMTYPE, str(victim)
        made.addfile(link)
    restore(tmp_path / "evil.tar.gz", data_dir, time=TIME)
    assert victim.read_text() == "kept"
    assert sorted(path.name for path in data_dir.iterdir()) == ["cellblock.db"]


def test_directory_without_state_has_no_back_up(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="--data-dir"):
        back_up(data_dir, tmp_path / "kept.tar.gz")


async def test_key_that_lies_elsewhere_is_asked_to_be_kept_too(data_dir: Path, tmp_path: Path) -> None:
    key = tmp_path / "elsewhere.key"
    store = await SqliteStore.open(data_dir, secrets_key=key)
    await store.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    await store.close()
    words = ["backup", str(tmp_path / "state.tar.gz"), "--data-dir", str(data_dir)]
    done = CliRunner().invoke(commands, words, env={"CELLBLOCK_SECRETS_KEY_FILE": str(key)})
    assert (done.exit_code, f"back up {key} too" in done.output) == (0, True)
