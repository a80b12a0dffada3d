"""Secrets at rest: encrypted with a key that lies beside the database and not in it.

Signature version 4 is an HMAC with the secret, so the server must be able to read it and cannot keep a hash as for a password.
What it can do is that a copy of the database alone, a back-up or a dump of PostgreSQL, gives no secret away.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from cellblock.machine.data_directory import DataDirectoryError

KEY_BYTES = 32
NONCE_BYTES = 12
PREFIX = "aes256gcm:"


class Sealer:
    """Encrypts and decrypts with the key file of a data directory, AES-256-GCM; a sealed secret opens only under its own key's id."""

    def __init__(self, key_file: Path) -> None:
        self._key_file = key_file

    @property
    def key_file(self) -> Path:
        """Where the key lies."""
        return self._key_file

    def has_key(self) -> bool:
        """Whether the file is there; `seal` makes it when it is not."""
        return self._key_file.exists()

    def seal(self, secret: str, owner: str) -> str:
        """The secret as it is kept."""
        nonce = os.urandom(NONCE_BYTES)
        return PREFIX + base64.b64encode(nonce + self._cipher.encrypt(nonce, secret.encode(), owner.encode())).decode()

    def opens(self, kept: str, owner: str) -> bool:
        """Whether it opens that secret; a missing key opens none, and is not made."""
        try:
            self.open(kept, owner)
        except DataDirectoryError:
            return False
        return True

    def open(self, kept: str, owner: str) -> str:
        """The secret; one that was kept before secrets were sealed is itself. Raises DataDirectoryError."""
        if not is_sealed(kept):
            return kept
        if not self.has_key():
            raise self._not_opened(owner)
        try:
            data = base64.b64decode(kept.removeprefix(PREFIX), validate=True)
            return str(self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], owner.encode()).decode())
        except (binascii.Error, ValueError, self._refusal) as error:
            raise self._not_opened(owner) from error

    def _not_opened(self, owner: str) -> DataDirectoryError:
        return DataDirectoryError(
            f"{self._key_file} does not open the secret of access key {owner}: put back the file that was there when the key was"
            " made (it belongs to the database's back-up)"
        )

    @cached_property
    def _cipher(self) -> Any:
        """Loaded when a secret is first needed: the library takes longer to load than all else that the command line does."""
        ciphers = importlib.import_module("cryptography.hazmat.primitives.ciphers.aead")
        return ciphers.AESGCM(_key(self._key_file))

    @cached_property
    def _refusal(self) -> type[Exception]:
        refusal: type[Exception] = importlib.import_module("cryptography.exceptions").InvalidTag
        return refusal


def is_sealed(kept: str) -> bool:
    """Whether a kept secret is encrypted; no secret of AWS's form holds a colon."""
    return kept.startswith(PREFIX)


def _key(path: Path) -> bytes:
    """The key, made when the file is missing; whoever makes it first wins."""
    if not path.exists():
        _make(path)
    try:
        key = path.read_bytes()
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be read: {error.strerror}") from error
    if len(key) != KEY_BYTES:
        raise DataDirectoryError(f"{path} is damaged: it has {len(key)} bytes and not {KEY_BYTES}; put it back from the back-up")
    return key


def _make(path: Path) -> None:
    """Whole or not at all: another process may read it in the same moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, os.urandom(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be made: {error.strerror}") from error
