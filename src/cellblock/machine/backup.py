"""Back-ups of the state: the database as it is at one moment, with the files without which it cannot be read, in one archive."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from cellblock.errors import CommandFailed
from cellblock.machine.data_directory import CREDENTIALS_NAME, DATABASE_NAME, SECRETS_KEY_NAME, hold_data_directory

MEMBERS = (DATABASE_NAME, SECRETS_KEY_NAME, CREDENTIALS_NAME)
COMPANIONS = (f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm")
MEMBER_BYTES = 64 * 1024**3
SET_ASIDE = "before-restore-"


class BackupError(CommandFailed):
    """A back-up cannot be made or put back; the message says why."""


def back_up(data_dir: Path, target: Path) -> None:
    """Write the archive, whole or not at all, while a server runs or not. Raises BackupError."""
    database = data_dir / DATABASE_NAME
    if not database.exists():
        raise BackupError(f"{data_dir} holds no {DATABASE_NAME}; name the data directory with --data-dir")
    try:
        with _written(target) as file, tempfile.TemporaryDirectory(dir=target.parent) as place:
            copy = Path(place, DATABASE_NAME)
            _copy_database(database, copy)
            with tarfile.open(fileobj=file, mode="w:gz") as archive:
                for name in MEMBERS:
                    source = copy if name == DATABASE_NAME else data_dir / name
                    if source.exists():
                        archive.add(source, arcname=name, filter=_private)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"the back-up {target} cannot be written: {error}") from error


def restore(source: Path, data_dir: Path, *, time: datetime) -> Path | None:
    """Put a back-up in the place of the state, when no server runs; where what was there lies then. Raises BackupError.

    Every member is looked at before one file is moved.
    """
    with hold_data_directory(data_dir):
        try:
            with tempfile.TemporaryDirectory(dir=data_dir, prefix=".restore-") as place:
                _extract(source, Path(place))
                _check_database(Path(place, DATABASE_NAME))
                aside = _set_aside(data_dir, time)
                for name in MEMBERS:
                    if Path(place, name).exists():
                        Path(place, name).replace(data_dir / name)
            return aside
        except (OSError, EOFError, tarfile.TarError, sqlite3.Error) as error:
            raise BackupError(f"the back-up {source} cannot be put back: {error}") from error


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's own copy of one moment; writers wait for a page at most, and the copy has no companions."""
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    target.chmod(0o600)


@contextmanager
def _written(target: Path) -> Iterator[io.BufferedWriter]:
    """A file for its owner alone that takes its name when it is complete."""
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _private(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode, member.uid, member.gid, member.uname, member.gname = 0o600, 0, 0, "", ""
    return member


def _extract(source: Path, place: Path) -> None:
    """The members by their names, read as bytes: nothing that an archive says of links, owners or paths is followed."""
    with tarfile.open(source, mode="r:gz") as archive:
        found = {member.name: member for member in archive if member.isreg() and member.name in MEMBERS and member.size <= MEMBER_BYTES}
        if DATABASE_NAME not in found:
            raise BackupError(f"{source} is no back-up: it holds no {DATABASE_NAME}")
        for name, member in found.items():
            content = archive.extractfile(member)
            assert content is not None
            descriptor = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                while piece := content.read(1024 * 1024):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())


def _check_database(path: Path) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (found,) = database.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise BackupError(f"the back-up's {DATABASE_NAME} is damaged: {found}")


def _set_aside(data_dir: Path, time: datetime) -> Path | None:
    """Move what is there out of the way; it is kept, because a wrong back-up may have been named."""
    there = [data_dir / name for name in (*MEMBERS, *COMPANIONS) if (data_dir / name).exists()]
    if not there:
        return None
    aside = data_dir / f"{SET_ASIDE}{time:%Y%m%dT%H%M%S}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.replace(aside / path.name)
    return aside
