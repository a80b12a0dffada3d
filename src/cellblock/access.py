"""What a key may do, in IAM's notation."""

from __future__ import annotations

import re
from functools import lru_cache

from cellblock.errors import AccessDenied
from cellblock.model import AccessKey

SERVICE = "bedrock-agentcore"


def require(key: AccessKey, *, operation: str, resource_arn: str) -> None:
    """Raises AccessDenied unless the key's actions and resources allow the operation there."""
    action = f"{SERVICE}:{operation}"
    if _any_matches(key.actions, action, re.IGNORECASE) and _any_matches(key.resources, resource_arn, 0):
        return
    raise AccessDenied(
        f"User: arn:aws:iam::{key.account}:user/{key.name} is not authorized to perform: {action} on resource: {resource_arn}"
    )


def _any_matches(patterns: tuple[str, ...], text: str, flags: int) -> bool:
    return any(_compiled(pattern, flags).fullmatch(text) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str, flags: int) -> re.Pattern[str]:
    """IAM knows two wildcards: * for any characters and ? for one."""
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.compile("".join(parts), flags | re.DOTALL)
