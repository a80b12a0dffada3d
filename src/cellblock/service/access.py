"""Refuses what a key's policy does not allow, in AWS's words."""

from __future__ import annotations

from cellblock.errors import AccessDenied
from cellblock.model.policies import decide
from cellblock.model.resources import AccessKey

SERVICE = "bedrock-agentcore"


def require(key: AccessKey, *, operation: str, resource_arn: str) -> None:
    """Raises AccessDenied unless the key's policy allows the operation there."""
    action = f"{SERVICE}:{operation}"
    verdict = decide(key.policy, action, resource_arn)
    if verdict == "allowed":
        return
    denied, missing = "with an explicit deny in an identity-based policy", f"because no identity-based policy allows the {action} action"
    raise AccessDenied(
        f"User: arn:aws:iam::{key.account}:user/{key.name} is not authorized to perform: {action}"
        f" on resource: {resource_arn} {denied if verdict == 'denied' else missing}"
    )
