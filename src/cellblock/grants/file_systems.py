"""File systems of Create and Start: the API's configurations to directories of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from cellblock.errors import FieldProblem
from cellblock.grants.grants_file import FileSystem, may_use
from cellblock.model.calls import Mount
from cellblock.model.resources import JsonObject

MEMBER = "filesystemConfigurations"


def mounts_of(
    configurations: Iterable[JsonObject], file_systems: Mapping[str, FileSystem], account: str, problems: list[FieldProblem]
) -> tuple[Mount, ...]:
    """The mounts that configurations ask for; what cannot be had goes to the problems, by its place in them."""
    mounts: dict[str, Mount] = {}
    for index, configuration in enumerate(configurations):
        (kind, found) = next(iter(configuration.items()))
        arn, path = _texts(cast("Mapping[str, object]", found))
        name = path.removeprefix("/mnt/").rstrip("/")
        known = file_systems.get(arn)
        where = f"{MEMBER}[{index}].{kind}"
        if known is None or not may_use(arn, known.accounts, account):
            problems.append(FieldProblem(f"{where}.accessPointArn", f"{arn} is not known: no file system of this server is for it"))
        elif name in mounts or name in (".", ".."):
            problems.append(FieldProblem(f"{where}.mountPath", f"{path} is taken twice or is no name"))
        else:
            mounts[name] = Mount(name=name, directory=Path(known.directory), read_only=known.read_only)
    return tuple(mounts.values())


def _texts(found: Mapping[str, object]) -> tuple[str, str]:
    return str(found["accessPointArn"]), str(found["mountPath"])
