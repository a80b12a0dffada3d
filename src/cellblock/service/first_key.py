"""The access key that the first start makes, and its file."""

from __future__ import annotations

from pathlib import Path

from cellblock.machine.data_directory import DataDirectoryError, read_credentials, remove_credentials, write_credentials
from cellblock.model.resources import AccessKey, new_access_key
from cellblock.store.protocol import Store

FIRST_KEY_NAME = "first"


async def ensure_first_key(store: Store, data_dir: Path, *, account: str) -> AccessKey:
    """The first key, made when there is none; its file is written when it is missing, broken or holds another key."""
    key = await store.keep_first_access_key(new_access_key(account=account, name=FIRST_KEY_NAME))
    keep_file_of(key, data_dir)
    return key


def keep_file_of(first: AccessKey, data_dir: Path) -> None:
    """Let the file hold the first key as it is; a revoked key has no file."""
    written = _written(data_dir)
    if first.revoked_at is not None:
        remove_credentials(data_dir)
    elif written is None or (written.id, written.secret) != (first.id, first.secret):
        write_credentials(data_dir, first)


def refresh_file_of(key: AccessKey, data_dir: Path) -> None:
    """When it is the first key that was changed, let its file follow."""
    written = _written(data_dir)
    if written is not None and written.id == key.id:
        keep_file_of(key, data_dir)


def _written(data_dir: Path) -> AccessKey | None:
    try:
        return read_credentials(data_dir)
    except DataDirectoryError:
        return None
