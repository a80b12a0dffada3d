"""The access key that the first start makes, and its file."""

from __future__ import annotations

from pathlib import Path

from cellblock.data_directory import DataDirectoryError, read_credentials, write_credentials
from cellblock.model import AccessKey, new_access_key
from cellblock.store.protocol import Store

FIRST_KEY_NAME = "first"


async def ensure_first_key(store: Store, data_dir: Path, *, account: str) -> AccessKey:
    """The first key, made when there is none; its file is written when it is missing, broken or holds another key."""
    key = await store.keep_first_access_key(new_access_key(account=account, name=FIRST_KEY_NAME))
    if _written(data_dir) != key:
        write_credentials(data_dir, key)
    return key


def _written(data_dir: Path) -> AccessKey | None:
    try:
        return read_credentials(data_dir)
    except DataDirectoryError:
        return None
