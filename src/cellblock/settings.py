"""Every setting of the service in one table, read from the environment once and checked."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

Value = str | int | float | Path | tuple[str, ...]

PREFIX = "CELLBLOCK_"
KIB = 1024
MIB = 1024 * 1024
HIGHEST_HOST_ID = 2**32 - 2  # (uid_t) -1 is no id
ACCOUNT_FORM = r"[0-9]{12}"
REGION_FORM = r"[a-z]{2}(-[a-z]+)+-[0-9]+"
MODULES_FORM = r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*(,[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)*)?"


class SettingsError(Exception):
    """A variable of the environment that is not a setting, or whose value is not allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is said of one setting beside its name, type and default."""

    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    form: str = ""
    form_help: str = ""
    default_help: str = ""


def _setting(default: Any, text: str, **rule: Any) -> Any:
    return field(default=default, metadata={"rule": Rule(help=text, **rule)})


def _place(*, user: str, text: str, root: str = "") -> dict[str, object]:
    """A directory below HOME, or where root has another one; known only when the environment is read."""
    default_help = f"`~/{user}`" + (f"; as root `{root}`" if root else "")
    return {"rule": Rule(help=text, default_help=default_help), "root": root, "user": user}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The table: a field is a setting, its variable is CELLBLOCK_ and the name in capitals. MB are 1024 * 1024 bytes."""

    data_dir: Path = field(
        metadata=_place(
            root="/var/lib/cellblock", user=".local/share/cellblock", text="state: interpreters, sessions, keys, the server's pid"
        )
    )
    cache_dir: Path = field(metadata=_place(user=".cache/cellblock", text="what can be made again: the runtime that cells see"))
    runtime_python: str = _setting("", "Python that the runtime is built from", default_help="a suitable one is looked for")
    preload: tuple[str, ...] = _setting(
        ("numpy", "pandas", "matplotlib.pyplot"),
        "modules that the template imports before sessions are forked from it",
        form=MODULES_FORM,
        form_help="module names separated by commas",
    )

    account: str = _setting("000000000000", "account that the first access key belongs to", form=ACCOUNT_FORM, form_help="12 digits")
    region: str = _setting(
        "us-east-1",
        "region that `cellblock env` gives to clients; any signed one is accepted",
        form=REGION_FORM,
        form_help="a region's name",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "least level of a log line")

    max_sessions: int = _setting(10, "live sessions of an account", unit="sessions", minimum=1, maximum=100_000)
    max_calls_per_session: int = _setting(10, "calls that may be under way in a session", unit="calls", minimum=1, maximum=1000)
    session_timeout_seconds: int = _setting(900, "lifetime of a session that does not ask for one", unit="s", minimum=1, maximum=28_800)
    max_session_timeout_seconds: int = _setting(28_800, "longest lifetime that a session may ask for", unit="s", minimum=1, maximum=28_800)
    call_timeout_seconds: int = _setting(300, "longest time of a call", unit="s", minimum=1, maximum=28_800)
    session_retention_days: int = _setting(30, "how long an ended session can still be asked about", unit="days", minimum=1, maximum=3650)

    memory_mb: int = _setting(512, "memory of a session", unit="MB", minimum=64, maximum=4096)
    processes: int = _setting(256, "processes and threads in a session", unit="processes", minimum=16, maximum=32_768)
    cpus: float = _setting(1.0, "processors that a session may use, a part of one too", unit="CPUs", minimum=0.1, maximum=1024)
    max_memory_mb: int = _setting(
        4096, "memory that an interpreter's tag `cellblock:memory-mb` may ask for", unit="MB", minimum=64, maximum=1_048_576
    )
    max_cpus: float = _setting(4.0, "processors that the tag `cellblock:cpus` may ask for", unit="CPUs", minimum=0.1, maximum=1024)
    max_pids: int = _setting(
        1024, "processes and threads that the tag `cellblock:pids` may ask for", unit="processes", minimum=16, maximum=32_768
    )
    max_disk_mb: int = _setting(
        4096, "size of a workspace that the tag `cellblock:disk-mb` may ask for", unit="MB", minimum=1, maximum=1_048_576
    )
    open_files: int = _setting(1024, "open files of a process in a session", unit="files", minimum=64, maximum=1_048_576)
    workspace_mb: int = _setting(
        384, "size of a session's workspace; it lies in memory and counts against the session's", unit="MB", minimum=1, maximum=1_048_576
    )
    tmp_mb: int = _setting(128, "size of a session's /tmp; it lies in memory too", unit="MB", minimum=1, maximum=1_048_576)

    code_kb: int = _setting(100, "size of the code of a call", unit="KB", minimum=1, maximum=102_400)
    output_mb: int = _setting(
        10, "output of a call, stdout and stderr together; what is beyond is dropped", unit="MB", minimum=1, maximum=10
    )
    read_mb: int = _setting(16, "files that one readFiles returns in all", unit="MB", minimum=1, maximum=16)
    inline_file_mb: int = _setting(100, "files that one writeFiles takes in all", unit="MB", minimum=1, maximum=1024)
    max_large_bodies: int = _setting(
        4, "request bodies over 1 MB that are in memory at once; others wait", unit="bodies", minimum=1, maximum=1000
    )

    pool_size: int = _setting(2, "cells kept ready for the next sessions; 0 switches the pool off", unit="cells", minimum=0, maximum=1000)
    drain_seconds: int = _setting(10, "how long calls may still run when the server is told to stop", unit="s", minimum=0, maximum=3600)
    cgroup: Literal["auto", "none"] = _setting(
        "auto", "limits by cgroups where the host has them, or by resource limits and sampling alone"
    )
    uid_base: int = _setting(
        700_000_000, "first host id that cells run under when the server is root", minimum=1000, maximum=HIGHEST_HOST_ID
    )
    uid_count: int = _setting(65_536, "host ids from that one on, one for each cell", unit="ids", minimum=16, maximum=1_000_000_000)

    def __post_init__(self) -> None:
        if self.session_timeout_seconds > self.max_session_timeout_seconds:
            raise SettingsError(
                f"CELLBLOCK_SESSION_TIMEOUT_SECONDS={self.session_timeout_seconds}: allowed is at most"
                f" CELLBLOCK_MAX_SESSION_TIMEOUT_SECONDS, which is {self.max_session_timeout_seconds}"
            )
        if self.uid_base + self.uid_count - 1 > HIGHEST_HOST_ID:
            raise SettingsError(f"CELLBLOCK_UID_COUNT={self.uid_count}: allowed are ids up to {HIGHEST_HOST_ID} from CELLBLOCK_UID_BASE on")

    @property
    def memory_bytes(self) -> int:
        """Memory of a session."""
        return self.memory_mb * MIB

    @property
    def workspace_bytes(self) -> int:
        """Size of a workspace."""
        return self.workspace_mb * MIB

    @property
    def tmp_bytes(self) -> int:
        """Size of a cell's /tmp."""
        return self.tmp_mb * MIB

    @property
    def code_bytes(self) -> int:
        """Size of a call's code in UTF-8."""
        return self.code_kb * KIB

    @property
    def output_bytes(self) -> int:
        """Output of a call."""
        return self.output_mb * MIB

    @property
    def read_bytes(self) -> int:
        """What one readFiles returns."""
        return self.read_mb * MIB

    @property
    def inline_file_bytes(self) -> int:
        """What one writeFiles takes."""
        return self.inline_file_mb * MIB

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings that an environment says. Raises SettingsError, which names the variable, its value and what is allowed."""
        known = {variable(item.name): item for item in fields(cls)}
        for name in sorted(environment):
            if name.startswith(PREFIX) and name not in known:
                raise SettingsError(f"{name} is not a setting; the settings are {', '.join(sorted(known))}")
        values: dict[str, Any] = {item.name: _parse(item, environment[name]) for name, item in known.items() if name in environment}
        return cls(**(_default_places(environment, given=set(values)) | values))


def load() -> Settings:
    """The settings of this process."""
    return Settings.from_environment(os.environ)


def host_environment() -> dict[str, str]:
    """A copy of this process's environment, for programs of the host that need PATH and the like; never for a cell."""
    return dict(os.environ)


def variable(name: str) -> str:
    """The variable of a setting."""
    return PREFIX + name.upper()


def markdown() -> str:
    """The table as the documentation shows it."""
    head = (
        "# Settings\n\n"
        "Settings are variables of the server's environment. A value that is not allowed, or a variable with the prefix\n"
        "`CELLBLOCK_` that is not in this table, ends the start with a message. MB are 1024 × 1024 bytes, KB 1024 bytes.\n\n"
        "This file is printed by `python -m cellblock.settings`.\n\n"
        "| variable | default | allowed | meaning |\n|---|---|---|---|\n"
    )
    return head + "".join(_markdown_row(item) for item in fields(Settings))


def _rule(item: Field[Any]) -> Rule:
    return cast("Rule", item.metadata["rule"])


def _default_places(environment: Mapping[str, str], *, given: set[str]) -> dict[str, Path]:
    """The directories that were not given; HOME is needed only for these."""
    missing = [item for item in fields(Settings) if item.default is MISSING and item.name not in given]
    found = {item.name: Path(item.metadata["root"]) for item in missing if item.metadata["root"] and os.geteuid() == 0}
    homeless = [item for item in missing if item.name not in found]
    home = environment.get("HOME", "")
    if homeless and not home.startswith("/"):
        raise SettingsError(f"HOME={home!r}: allowed is an absolute path, or set {variable(homeless[0].name)}")
    return found | {item.name: Path(home, item.metadata["user"]) for item in homeless}


def _parse(item: Field[Any], text: str) -> Value:
    kind = get_type_hints(Settings)[item.name]
    if kind in (int, float):
        return _parse_number(item, kind, text)
    if not _is_allowed_text(item, kind, text):
        raise _refusal(item, text)
    if kind is Path:
        return Path(text)
    if get_origin(kind) is tuple:
        return tuple(part for part in text.split(",") if part)
    return text


def _parse_number(item: Field[Any], kind: type[int] | type[float], text: str) -> int | float:
    rule = _rule(item)
    form = r"-?[0-9]{1,18}" if kind is int else r"-?[0-9]{1,9}(\.[0-9]{1,9})?"
    value = kind(text) if re.fullmatch(form, text) else None
    if value is None or (rule.minimum is not None and value < rule.minimum) or (rule.maximum is not None and value > rule.maximum):
        raise _refusal(item, text)
    return value


def _is_allowed_text(item: Field[Any], kind: object, text: str) -> bool:
    if get_origin(kind) is Literal:
        return text in get_args(kind)
    if kind is Path:
        return text.startswith("/")
    form = _rule(item).form
    return not form or re.fullmatch(form, text) is not None


def _refusal(item: Field[Any], text: str) -> SettingsError:
    return SettingsError(f"{variable(item.name)}={text}: allowed is {_allowed(item)}")


def _allowed(item: Field[Any]) -> str:
    kind, rule = get_type_hints(Settings)[item.name], _rule(item)
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if kind is Path:
        return "an absolute path"
    if kind in (int, float):
        number = "a whole number" if kind is int else "a number"
        return f"{number} from {_number(rule.minimum)} to {_number(rule.maximum)}"
    return rule.form_help or "a path or nothing"


def _number(value: float | None) -> str:
    return "any" if value is None else f"{value:g}" if value != int(value) else str(int(value))


def _markdown_row(item: Field[Any]) -> str:
    rule = _rule(item)
    return f"| `{variable(item.name)}` | {rule.default_help or _markdown_default(item)} | {_allowed(item)} | {rule.help} |\n"


def _markdown_default(item: Field[Any]) -> str:
    text = ",".join(item.default) if isinstance(item.default, tuple) else str(item.default)
    return f"`{text}` {_rule(item).unit}".rstrip()


if __name__ == "__main__":
    sys.stdout.write(markdown())
