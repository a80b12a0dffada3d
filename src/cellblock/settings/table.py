"""Every setting of the service in one table, read once from options, environment and file, and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from cellblock.settings import pages
from cellblock.settings.groups.agents import Agents
from cellblock.settings.groups.calls import Calls
from cellblock.settings.groups.cluster import Cluster
from cellblock.settings.groups.entry import KIB, MIB, Group, SettingsError, rule_of, variable
from cellblock.settings.groups.keys import Keys
from cellblock.settings.groups.limits import Limits
from cellblock.settings.groups.network import Network
from cellblock.settings.groups.places import Places
from cellblock.settings.groups.roles import Roles
from cellblock.settings.groups.serving import Serving
from cellblock.settings.groups.telemetry import Telemetry
from cellblock.settings.sources import FILE_VARIABLE, Written, from_environment, from_file, from_flags
from cellblock.settings.values import NotAllowed, Value, allowed, parse

__all__ = [
    "GROUPS",
    "KIB",
    "MIB",
    "TABLE",
    "Effective",
    "Settings",
    "SettingsError",
    "host_environment",
    "kinds",
    "load",
    "markdown",
    "read",
]

GROUPS: tuple[type[Group], ...] = (Places, Serving, Keys, Calls, Limits, Network, Roles, Agents, Telemetry, Cluster)
TABLE: dict[str, Field[Any]] = {item.name: item for group in GROUPS for item in fields(group)}
ROOT_FILE = Path("/etc/cellblock/cellblock.toml")
USER_FILE = ".config/cellblock/cellblock.toml"  # below HOME
DEFAULT = "default"
NO_FLAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Settings(Places, Serving, Keys, Calls, Limits, Network, Roles, Agents, Telemetry, Cluster):
    """The table: a field of a group is a setting, its variable is CELLBLOCK_ and the name in capitals. MB are 1024 * 1024 bytes."""

    def __post_init__(self) -> None:
        for group in GROUPS:
            group.check(self)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings that an environment alone says. Raises SettingsError, which names the variable, its value and what is allowed."""
        return _effective(environment, from_environment(environment, TABLE)).settings


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings in force and, for each, where it comes from."""

    settings: Settings
    origins: Mapping[str, str]


def load(flags: Mapping[str, str] = NO_FLAGS, file: Path | None = None) -> Settings:
    """The settings of this process. Raises SettingsError."""
    return read(flags, file).settings


def read(flags: Mapping[str, str] = NO_FLAGS, file: Path | None = None) -> Effective:
    """The settings of this process: options win over the environment, and that over the file. Raises SettingsError."""
    environment = os.environ
    found = file or _file(environment)
    written = from_file(found, TABLE) if found else {}
    return _effective(environment, written | from_environment(environment, TABLE) | from_flags(flags))


def host_environment() -> dict[str, str]:
    """A copy of this process's environment, for programs of the host that need PATH and the like; never for a cell."""
    return dict(os.environ)


def markdown() -> str:
    """The table as the documentation shows it."""
    return pages.markdown(GROUPS)


@cache
def kinds() -> dict[str, Any]:
    """The type of each setting."""
    hints = get_type_hints(Settings)
    return {name: hints[name] for name in TABLE}


def _file(environment: Mapping[str, str]) -> Path | None:
    """The file that is named; else the one that is at the usual place."""
    if named := environment.get(FILE_VARIABLE):
        return Path(named)
    usual = ROOT_FILE if os.geteuid() == 0 else Path(environment.get("HOME", "/"), USER_FILE)
    return usual if usual.is_file() else None


def _effective(environment: Mapping[str, str], written: Mapping[str, Written]) -> Effective:
    values = {name: _value(name, text) for name, text in written.items()}
    settings = Settings(**(_default_places(environment, given=set(values)) | values))
    return Effective(settings, {name: written[name].origin if name in written else DEFAULT for name in TABLE})


def _value(name: str, written: Written) -> Value:
    item, kind = TABLE[name], kinds()[name]
    try:
        return parse(item, kind, written.text)
    except NotAllowed as error:
        said = written.origin if rule_of(item).is_secret else written.line
        raise SettingsError(f"{said}: allowed is {allowed(item, kind)}") from error


def _default_places(environment: Mapping[str, str], *, given: set[str]) -> dict[str, Any]:
    """The directories that were not given; HOME is needed only for these."""
    missing = [item for item in TABLE.values() if item.default is MISSING and item.name not in given]
    found = {item.name: Path(item.metadata["root"]) for item in missing if item.metadata["root"] and os.geteuid() == 0}
    homeless = [item for item in missing if item.name not in found]
    home = environment.get("HOME", "")
    if homeless and not home.startswith("/"):
        raise SettingsError(f"HOME={home!r}: allowed is an absolute path, or set {variable(homeless[0].name)}")
    return found | {item.name: Path(home, item.metadata["user"]) for item in homeless}
