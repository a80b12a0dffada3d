"""The data directory: nobody else may look into it, one server at a time uses it, and the first key's file is in it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cellblock.errors import CommandFailed
from cellblock.model.resources import AccessKey

DATABASE_NAME = "cellblock.db"
PID_NAME = "cellblock.pid"
SECRETS_KEY_NAME = "secrets.key"  # opens the secrets in the database
CREDENTIALS_NAME = "credentials.json"


class DataDirectoryError(CommandFailed):
    """The data directory cannot be used as it is; the message says what to do."""


class DataDirectoryInUse(DataDirectoryError):
    """Another server has it."""

    def __init__(self, data_dir: Path, pid: str) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{data_dir} is in use by {who}; stop that server, or set CELLBLOCK_DATA_DIR to another directory")


def prepare_data_directory(data_dir: Path) -> None:
    """Make it with mode 0700. One that others can look into is tightened only while it is empty. Raises DataDirectoryError."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = data_dir.stat()
        if status.st_uid != os.geteuid():
            raise DataDirectoryError(f"{data_dir} belongs to user id {status.st_uid} and the server runs as {os.geteuid()}")
        if status.st_mode & 0o077 and any(data_dir.iterdir()):
            raise DataDirectoryError(f"{data_dir} is open to other users (mode {status.st_mode & 0o777:04o}); run: chmod 700 {data_dir}")
        data_dir.chmod(0o700)
    except OSError as error:
        raise DataDirectoryError(f"{data_dir} cannot be used: {error.strerror}") from error


def secrets_key_path(data_dir: Path) -> Path:
    """Where the key that opens the database's secrets lies when no setting says another place."""
    return data_dir / SECRETS_KEY_NAME


def prepare_private_file(path: Path) -> None:
    """Make the file with mode 0600 when it is missing; SQLite gives its companions the same mode."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be used: {error.strerror}") from error
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


@contextmanager
def hold_data_directory(data_dir: Path) -> Iterator[None]:
    """Keep other servers out, with this process's id in cellblock.pid. Raises DataDirectoryInUse, which names the other one's."""
    prepare_data_directory(data_dir)
    path = data_dir / PID_NAME
    descriptor = _lock(path, data_dir)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def write_credentials(data_dir: Path, key: AccessKey) -> None:
    """Put the key into credentials.json, whole or not at all, for its owner alone."""
    content = {
        "accessKeyId": key.id,
        "secretAccessKey": key.secret,
        "account": key.account,
        "name": key.name,
        "createdAt": key.created_at.isoformat(),
    }
    descriptor, temporary = tempfile.mkstemp(dir=data_dir, prefix=f".{CREDENTIALS_NAME}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(data_dir / CREDENTIALS_NAME)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_credentials(data_dir: Path) -> None:
    """The key is revoked."""
    (data_dir / CREDENTIALS_NAME).unlink(missing_ok=True)


def read_credentials(data_dir: Path) -> AccessKey | None:
    """The key in credentials.json, its policy left out; None when there is no such file. Raises DataDirectoryError."""
    path = data_dir / CREDENTIALS_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return AccessKey(
            id=content["accessKeyId"],
            secret=content["secretAccessKey"],
            account=content["account"],
            name=content["name"],
            created_at=datetime.fromisoformat(content["createdAt"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataDirectoryError(f"{path} cannot be read ({type(error).__name__}); remove it and the next start writes it anew") from error


def _lock(path: Path, data_dir: Path) -> int:
    """The locked file's descriptor. flock and not a record lock: that one is lost when any other descriptor of the file closes."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise DataDirectoryInUse(data_dir, pid) from None
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # the server before removed it between our open and our lock


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
