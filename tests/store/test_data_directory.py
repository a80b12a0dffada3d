"""The data directory: who may look, who holds it, and the first key."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cellblock.errors import UnknownKey
from cellblock.machine.data_directory import (
    CREDENTIALS_NAME,
    PID_NAME,
    DataDirectoryError,
    DataDirectoryInUse,
    hold_data_directory,
    prepare_data_directory,
    prepare_private_file,
    read_credentials,
)
from cellblock.model.resources import new_access_key
from cellblock.service.first_key import ensure_first_key
from cellblock.store.protocol import Store
from cellblock.store.sqlite import SqliteStore
from store.things import ACCOUNT, OTHER_ACCOUNT, interpreter

HOLD = """
import sys
from pathlib import Path
from cellblock.machine.data_directory import hold_data_directory
with hold_data_directory(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(directory: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in directory.iterdir()}


def holder(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD, data_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
async def test_nobody_else_may_look_into_directory_or_files(data_dir: Path) -> None:
    store = await SqliteStore.open(data_dir)
    await ensure_first_key(store, data_dir, account=ACCOUNT)
    await store.create_interpreter(interpreter())
    with hold_data_directory(data_dir):
        assert modes(data_dir) == {
            "cellblock.db": 0o600,
            "cellblock.db-wal": 0o600,
            "cellblock.db-shm": 0o600,
            "cellblock.pid": 0o600,
            "credentials.json": 0o600,
            "secrets.key": 0o600,
        }
    assert mode(data_dir) == 0o700
    await store.close()


def test_empty_directory_that_is_open_to_others_is_closed(data_dir: Path) -> None:
    data_dir.mkdir()
    data_dir.chmod(0o755)
    prepare_data_directory(data_dir)
    assert mode(data_dir) == 0o700


def test_full_directory_that_is_open_to_others_is_refused_and_left_alone(data_dir: Path) -> None:
    data_dir.mkdir()
    data_dir.chmod(0o755)
    (data_dir / "theirs").touch()
    with pytest.raises(DataDirectoryError, match=r"mode 0755.*chmod 700"):
        prepare_data_directory(data_dir)
    assert mode(data_dir) == 0o755


def test_file_in_place_of_the_directory_is_refused(data_dir: Path) -> None:
    data_dir.touch()
    with pytest.raises(DataDirectoryError, match="cannot be used"):
        prepare_data_directory(data_dir)


@pytest.mark.root
def test_directory_of_another_user_is_refused(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700)
    os.chown(data_dir, 12345, 12345)
    with pytest.raises(DataDirectoryError, match="belongs to user id 12345"):
        prepare_data_directory(data_dir)


def test_symbolic_link_in_place_of_a_private_file_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "cellblock.db"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataDirectoryError, match=r"cellblock\.db"):
        prepare_private_file(link)
    assert not (tmp_path / "elsewhere").exists()


def test_second_server_is_refused_by_the_pid_of_the_first(data_dir: Path) -> None:
    with holder(data_dir) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert (data_dir / PID_NAME).read_text() == f"{first.pid}\n"
        with pytest.raises(DataDirectoryInUse, match=f"in use by process {first.pid};"), hold_data_directory(data_dir):
            pass
        first.kill()


def test_directory_of_a_killed_server_is_free(data_dir: Path) -> None:
    with holder(data_dir) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.kill()
    with hold_data_directory(data_dir):
        assert (data_dir / PID_NAME).read_text() == f"{os.getpid()}\n"


def test_pid_file_goes_with_the_server_and_comes_again(data_dir: Path) -> None:
    for _ in range(2):
        with hold_data_directory(data_dir):
            assert (data_dir / PID_NAME).exists()
        assert not (data_dir / PID_NAME).exists()


def test_reading_the_pid_does_not_let_go_of_the_directory(data_dir: Path) -> None:
    with hold_data_directory(data_dir):
        (data_dir / PID_NAME).read_text()
        with pytest.raises(DataDirectoryInUse), hold_data_directory(data_dir):
            pass


async def test_first_key_is_made_once_and_its_file_reads_back(store: Store, data_dir: Path) -> None:
    key = await ensure_first_key(store, data_dir, account=ACCOUNT)
    assert await ensure_first_key(store, data_dir, account="999999999999") == key
    assert read_credentials(data_dir) == key
    assert await store.get_access_key(key.id) == key


async def test_broken_or_missing_key_file_is_written_anew(store: Store, data_dir: Path) -> None:
    key = await ensure_first_key(store, data_dir, account=ACCOUNT)
    for damage in ("", "{}", "[]", json.dumps({"accessKeyId": "AKIAOTHER"})):
        (data_dir / CREDENTIALS_NAME).write_text(damage)
        with pytest.raises(DataDirectoryError, match=CREDENTIALS_NAME):
            read_credentials(data_dir)
        await ensure_first_key(store, data_dir, account=ACCOUNT)
        assert read_credentials(data_dir) == key
    (data_dir / CREDENTIALS_NAME).unlink()
    assert read_credentials(data_dir) is None
    await ensure_first_key(store, data_dir, account=ACCOUNT)
    assert read_credentials(data_dir) == key


async def test_oldest_key_of_its_name_stays_the_first(store: Store) -> None:
    first = await store.keep_first_access_key(new_access_key(account=ACCOUNT, name="first"))
    await store.create_access_key(new_access_key(account=ACCOUNT, name="reader"))
    assert await store.keep_first_access_key(new_access_key(account=OTHER_ACCOUNT, name="first")) == first


async def test_unknown_key_is_refused(store: Store) -> None:
    with pytest.raises(UnknownKey):
        await store.get_access_key("AKIAUNKNOWN")


def test_key_has_the_forms_of_aws_and_its_repr_hides_the_secret() -> None:
    key = new_access_key(account=ACCOUNT, name="first")
    assert (len(key.id), key.id[:4], len(key.secret)) == (20, "AKIA", 40)
    assert key.secret not in repr(key)
    assert abs(key.created_at - new_access_key(account=ACCOUNT, name="second").created_at) < timedelta(minutes=1)
