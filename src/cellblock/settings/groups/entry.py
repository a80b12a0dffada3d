"""What one setting is: the field of a group, and what is said of it."""

from __future__ import annotations

from dataclasses import Field, dataclass, field
from typing import Any, cast

from cellblock.errors import CommandFailed

KIB = 1024
MIB = 1024 * 1024


class SettingsError(CommandFailed):
    """A setting that there is not, or whose value is not allowed; the message begins with where it stands."""


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
    guide: str = ""  # the limit as AWS's guide has it
    is_secret: bool = False  # its value is never shown


@dataclass(frozen=True, kw_only=True)
class Group:
    """Settings that belong together; its docstring heads their table."""

    def check(self) -> None:
        """Raises SettingsError when values that are allowed alone do not go together."""


def setting(default: Any, text: str, **rule: Any) -> Any:
    """A setting with a default; its type is str, int, float, bool, Path, Literal or a tuple of texts."""
    return field(default=default, metadata={"rule": Rule(help=text, **rule)})


def place(*, user: str, text: str, root: str = "") -> dict[str, object]:
    """What is said of a directory below HOME, or where root has another one; known only when the environment is read."""
    default_help = f"`~/{user}`" + (f"; as root `{root}`" if root else "")
    return {"rule": Rule(help=text, default_help=default_help), "root": root, "user": user}


def rule_of(item: Field[Any]) -> Rule:
    """What is said of a setting."""
    return cast("Rule", item.metadata["rule"])


def variable(name: str) -> str:
    """The variable of a setting."""
    return f"CELLBLOCK_{name.upper()}"


def flag(name: str) -> str:
    """The option of a setting."""
    return "--" + name.replace("_", "-")
