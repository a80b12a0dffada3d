"""What the operator lets interpreters have: roles and file systems by their ARNs, from one TOML file."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from cellblock.model.network_grants import allowed_place
from cellblock.settings.table import SettingsError

MOST_BYTES = 1 << 20
_OTHERS = 0o077
_BUCKET = re.compile(r"[a-z0-9*][a-z0-9.*-]{0,62}")
_ACCOUNT_IN_ARN = re.compile(r"arn:[^:]+:[^:]+:[^:]*:([0-9]{12}):.+")


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys that stand for a role, and the buckets that its sessions reach; `*` in a name stands for any letters."""

    buckets: tuple[str, ...]
    read_only: bool = False
    accounts: tuple[str, ...] = ()
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    profile: str = ""
    assume: bool = False


class FileSystem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The directory that stands for an access point."""

    directory: str
    read_only: bool = False
    accounts: tuple[str, ...] = ()


class AllowList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What sessions in a subnet or a security group reach."""

    allow: tuple[str, ...]
    accounts: tuple[str, ...] = ()


class Granted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    roles: dict[str, Role] = {}
    file_systems: dict[str, FileSystem] = {}
    networks: dict[str, AllowList] = {}


def read(path: str) -> Granted:
    """The file, or nothing when no path is given. Raises SettingsError, which never quotes what the file holds."""
    if not path:
        return Granted()
    try:
        data = _guarded_bytes(Path(path))
        granted = msgspec.toml.decode(data, type=Granted)
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise _wrong(path, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _wrong(path, "is not TOML") from error
    for arn, role in granted.roles.items():
        if problem := _problem_of_role(role):
            raise _wrong(path, f'roles."{arn}" {problem}')
    for arn, file_system in granted.file_systems.items():
        if not file_system.directory.startswith("/"):
            raise _wrong(path, f'file_systems."{arn}" needs an absolute directory')
    for name, network in granted.networks.items():
        try:
            for text in network.allow:
                allowed_place(text)
        except ValueError as error:
            raise _wrong(path, f'networks."{name}": {error}') from error
    return granted


def may_use(arn: str, accounts: tuple[str, ...], account: str) -> bool:
    """A thing is for the account that its ARN names, or for those that the operator has listed."""
    found = _ACCOUNT_IN_ARN.fullmatch(arn)
    return account in accounts if accounts else found is None or found[1] == account


def _guarded_bytes(path: Path) -> bytes:
    """It may hold secrets, and who can write to it can have any directory mounted."""
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
        mode = path.stat().st_mode
    if mode & _OTHERS:
        raise _wrong(str(path), f"may be used by its owner only; run: chmod 600 {path}")
    if len(data) > MOST_BYTES:
        raise _wrong(str(path), f"is larger than {MOST_BYTES} bytes")
    return data


def _problem_of_role(role: Role) -> str:
    if bad := [name for name in role.buckets if not _BUCKET.fullmatch(name)]:
        return f"names {bad[0]!r}, which is no bucket"
    if bool(role.access_key_id) != bool(role.secret_access_key):
        return "needs access_key_id and secret_access_key together"
    if role.access_key_id and role.profile:
        return "has keys and a profile; one of them"
    if not (role.access_key_id or role.profile or role.assume):
        return "needs access_key_id and secret_access_key, or profile, or assume = true"
    return ""


def _wrong(path: str, problem: str) -> SettingsError:
    return SettingsError(f"CELLBLOCK_GRANTS_FILE={path}: {problem}")
